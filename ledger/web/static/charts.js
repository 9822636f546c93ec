// Draws the values of a table, and nothing else: what is seen is what can be read.
"use strict";

(() => {
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const drawn = new Map();
let scale = "linear";

const raised = (power) => String(power).replace(/\d/g, (d) => SUPER[d]).replace("-", "⁻");

function scientific(value, digits = 1) {
  if (!value) return "0";
  let power = Math.floor(Math.log10(Math.abs(value)));
  let mantissa = (value / 10 ** power).toFixed(digits);
  if (Math.abs(mantissa) >= 10) { power += 1; mantissa = (value / 10 ** power).toFixed(digits); }
  return Number(mantissa) === 1 && digits === 0 ? `10${raised(power)}` : `${mantissa} × 10${raised(power)}`;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const day = new Intl.DateTimeFormat("en-GB", {dateStyle: "medium", timeStyle: "short", timeZone: "UTC"});

// The rows of one body of a table: a time, and up to three values.
function rows(table, series) {
  return [...table.querySelectorAll(`tbody[data-series="${series}"] tr`)].map((row) => {
    const time = row.querySelector("time");
    return {
      name: row.querySelector("th")?.textContent ?? "",
      at: time ? Date.parse(time.dateTime) / 1000 : null,
      values: [...row.querySelectorAll("data")].map((data) => Number(data.value)),
    };
  }).filter((row) => row.values.length);
}

// Several bodies on one axis of time; a place without a value is null.
function aligned(bodies) {
  const times = [...new Set(bodies.flatMap((body) => body.rows.map((row) => row.at)))].sort((a, b) => a - b);
  const place = new Map(times.map((at, index) => [at, index]));
  const columns = bodies.flatMap((body) => body.picks.map((pick) => {
    const column = new Array(times.length).fill(null);
    for (const row of body.rows) column[place.get(row.at)] = row.values[pick];
    return column;
  }));
  return [times, ...columns];
}

const short = new Intl.DateTimeFormat("en-GB", {day: "numeric", month: "short", timeZone: "UTC"});
const clock = new Intl.DateTimeFormat("en-GB", {hour: "2-digit", minute: "2-digit", timeZone: "UTC"});
const year = new Intl.DateTimeFormat("en-GB", {year: "numeric", timeZone: "UTC"});

// Days by name, with the year under the first; the time of day where ticks are closer than that.
function dates(plot, ticks, axis, space, step) {
  let before = "";
  return ticks.map((tick) => {
    const at = tick * 1000;
    const text = step < 86400 && at % 86400000 ? clock.format(at) : short.format(at);
    const under = year.format(at) === before ? "" : `\n${before = year.format(at)}`;
    return text + under;
  });
}

function axes(values) {
  const font = "12px Inter, system-ui, sans-serif";
  const grid = {stroke: colour("--rule"), width: 1};
  const stroke = colour("--soft");
  return [
    {stroke, font, grid: {show: false}, ticks: {stroke: colour("--rule"), size: 5}, space: 80, values: dates},
    {stroke, font, grid, ticks: {show: false}, size: 76, values},
  ];
}

// Lines of law across the drawing, named at its left.
function law(lines) {
  return (plot) => {
    const {ctx, bbox} = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--law");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.font = `600 ${12 * devicePixelRatio}px Inter, system-ui, sans-serif`;
    for (const line of lines) {
      const value = line.values[0];
      // On a linear scale lines far below lie at the foot, where they only hide the curve.
      const least = scale === "log" ? plot.scales.y.min : plot.scales.y.max / 30;
      if (value > plot.scales.y.max || value < least) continue;
      const y = plot.valToPos(value, "y", true);
      ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
      ctx.fillText(`${line.name}  ${scientific(value, 0)}`, bbox.left + 8 * devicePixelRatio, y - 6 * devicePixelRatio);
    }
    ctx.restore();
  };
}

// Where processes began: ticks at the foot.
function births(marks) {
  return (plot) => {
    const {ctx, bbox} = plot;
    ctx.save();
    ctx.strokeStyle = colour("--faint");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const mark of marks) {
      const x = plot.valToPos(mark.at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath(); ctx.moveTo(x, bbox.top + bbox.height); ctx.lineTo(x, bbox.top + bbox.height - 12 * devicePixelRatio); ctx.stroke();
    }
    ctx.restore();
  };
}

function readout(figure, write) {
  const place = document.createElement("p");
  place.className = "readout";
  place.setAttribute("aria-hidden", "true");
  figure.querySelector(".chart-head figcaption").after(place);
  return (plot) => {
    const index = plot.cursor.idx;
    place.textContent = index === null || index === undefined ? "" : `${day.format(plot.data[0][index] * 1000)} UTC   ${write(plot, index)}`;
  };
}

const between = (low, value, high) => `${scientific(value, 2)}  (${scientific(low, 2)} … ${scientific(high, 2)})`;

function growth(figure, table) {
  const total = rows(table, "total"), reported = rows(table, "reported"), ahead = rows(table, "ahead");
  const lines = rows(table, "lines"), begun = rows(table, "births");
  // The forecast goes on from where the curve ends.
  const end = total.at(-1);
  const onward = ahead.length && end ? [{at: end.at, values: Array(3).fill(end.values[0])}, ...ahead] : ahead;
  const data = aligned([
    {rows: total, picks: [2, 1, 0]}, {rows: onward, picks: [2, 1, 0]}, {rows: reported, picks: [0]},
  ]);
  const most = Math.max(...data.slice(1).flat().map((v) => v ?? 0));
  const least = Math.min(...data.slice(1, 4).flat().filter((v) => v > 0));
  const near = lines.map((line) => line.values[0]).filter((v) => scale === "log" || v <= 2.5 * most);
  const top = Math.max(most, ...near);
  const accent = colour("--accent"), band = colour("--band");
  const hidden = {stroke: "transparent", width: 0, points: {show: false}, spanGaps: true};
  const show = readout(figure, (plot, i) => {
    const at = plot.data.map((column) => column[i]);
    if (at[3] !== null && at[3] !== undefined) return between(at[2], at[3], at[1]);
    return at[6] === null || at[6] === undefined ? "" : `forecast ${between(at[5], at[6], at[4])}`;
  });
  return [{
    series: [
      {}, hidden, hidden, {stroke: accent, width: 2.25, points: {show: false}, spanGaps: true},
      hidden, hidden, {stroke: accent, width: 2, dash: [5, 5], points: {show: false}, spanGaps: true},
      {stroke: colour("--good"), width: 1.75, dash: [2, 3], points: {show: reported.length < 3, size: 6}, spanGaps: true},
    ],
    bands: [{series: [1, 2], fill: band}, {series: [4, 5], fill: band}],
    scales: {y: scale === "log" ? {distr: 3, log: 10, range: [least / 2, top * 2]} : {range: [0, top * 1.08]}},
    axes: axes((plot, ticks) => ticks.map((v) => v === null ? "" : scientific(v, scale === "log" ? 0 : 1))),
    hooks: {draw: [law(lines), births(begun)], setCursor: [show]},
  }, data];
}

function rate(figure, table) {
  const data = aligned([{rows: rows(table, "rate"), picks: [0]}]);
  data[1] = data[1].map((perHour) => perHour / 3600);
  const most = Math.max(...data[1], 1);
  const accent = colour("--accent");
  const show = readout(figure, (plot, i) => `${scientific(plot.data[1][i], 2)} FLOP/s`);
  return [{
    series: [{}, {stroke: accent, width: 1.5, fill: colour("--band"), points: {show: false}, paths: uPlot.paths.stepped({align: -1})}],
    scales: {y: {range: [0, most * 1.12]}},
    axes: axes((plot, ticks) => ticks.map((v) => scientific(v))),
    hooks: {setCursor: [show]},
  }, data];
}

const KINDS = {growth, rate};

function draw(figure) {
  const table = document.getElementById(figure.dataset.table);
  const place = figure.querySelector(".plot");
  figure.querySelector(".readout")?.remove();
  const [options, data] = KINDS[figure.dataset.chart](figure, table);
  drawn.get(figure)?.destroy();
  place.textContent = "";
  const plot = new uPlot({
    width: place.clientWidth, height: place.clientHeight, tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "UTC"),
    padding: [14, 8, 0, 0], legend: {show: false}, cursor: {y: false, drag: {x: false, y: false}, points: {size: 7}}, ...options,
  }, data, place);
  drawn.set(figure, plot);
  for (const button of figure.querySelectorAll("[data-scale]")) button.setAttribute("aria-pressed", String(button.dataset.scale === scale));
  if (table.querySelectorAll("tbody tr").length) figure.dataset.drawn = "yes";
}

function all() {
  for (const figure of drawn.keys()) if (!figure.isConnected) { drawn.get(figure).destroy(); drawn.delete(figure); }
  for (const figure of document.querySelectorAll("figure[data-chart]")) draw(figure);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-scale]");
  if (!button) return;
  scale = button.dataset.scale;
  all();
});
let resizing = 0;
addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(all); });
addEventListener("DOMContentLoaded", () => document.fonts.ready.then(all));
document.addEventListener("refreshed", all);
document.addEventListener("themed", () => { if (drawn.size) all(); });
})();
