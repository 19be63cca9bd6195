"use strict";
// Draws the charts from the JSON beside them, in the colours of the page, and sorts tables. Text from a study's files is
// only ever read as JSON or as text content.
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // On a phone there is no room for a legend beside the plot, nor for long titles of axes.
  const narrowed = (layout) => {
    if (layout.legend?.orientation !== "h") layout.showlegend = false;
    for (const key of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      if (layout[key].title) layout[key].title.font = { size: 11 };
    }
    return layout;
  };

  const recolour = (layout) => {
    const ink = colour("--ink");
    const themed = structuredClone(layout);
    themed.font = { ...themed.font, color: ink };
    themed.modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("--line"), activecolor: colour("--soft") };
    themed.hoverlabel = { ...themed.hoverlabel, bgcolor: colour("--shade"), bordercolor: colour("--line"), font: { color: ink } };
    for (const key of Object.keys(themed).filter((key) => /^[xy]axis\d*$/.test(key))) {
      themed[key].gridcolor = colour("--line");
      themed[key].linecolor = themed[key].tickcolor = colour("--soft");
    }
    for (const menu of themed.updatemenus ?? []) {
      Object.assign(menu, { bgcolor: colour("--shade"), bordercolor: colour("--line"), font: { size: 12, color: ink } });
    }
    return innerWidth < 640 ? narrowed(themed) : themed;
  };

  const figure = (plot) => JSON.parse(document.querySelector(`script[data-chart="${plot.id}"]`).textContent);
  const config = { displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const fail = (plot, error) => { plot.textContent = `This chart could not be drawn: ${error.message}`; };
  const draw = (plot) => {
    try {
      const { data, layout } = figure(plot);
      const folded = plot.closest("details") !== null;
      Plotly.react(plot, data, recolour(layout), folded ? { ...config, displayModeBar: false } : config)
        .catch((error) => fail(plot, error));
    } catch (error) {
      fail(plot, error);  // and the other charts are still drawn
    }
  };
  const visible = (plot) => !plot.closest("details:not([open])");
  const plots = [...document.querySelectorAll(".plot")];

  // A folded chart is drawn when it is unfolded: it has no size before.
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => details.open && details.querySelectorAll(".plot:not(.js-plotly-plot)").forEach(draw));
  }
  const follow = () => {
    const all = location.hash === "#all-rasters";
    for (const details of document.querySelectorAll("details")) {
      details.open ||= all || [...details.querySelectorAll(".plot")].some((plot) => `#${plot.id}` === location.hash);
    }
  };
  window.addEventListener("hashchange", follow);
  follow();
  plots.filter(visible).forEach(draw);
  const resized = new ResizeObserver((entries) => requestAnimationFrame(() => {
    for (const { target } of entries) {
      const drawn = target.classList.contains("js-plotly-plot") && target.clientWidth > 0;
      if (drawn && Math.abs(target._fullLayout.width - target.clientWidth) > 1) Plotly.Plots.resize(target);
    }
  }));
  plots.forEach((plot) => resized.observe(plot));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.filter(visible).forEach(draw));

  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const sign = order === "ascending" ? 1 : -1;
      const empty = (row) => key(row) === "";
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (empty(a) || empty(b) ? 1 : sign) * compare(key(a), key(b)));
      table.tBodies[0].append(...rows);
    }));
  }
})();
