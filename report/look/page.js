// Filters, figures and tables of the page. Numbers are said as in report/shown.py: change both.
"use strict";
(() => {
  const DOC = JSON.parse(document.getElementById("document").textContent);
  const WORDS = DOC.words, ZH = DOC.lang === "zh", NOTHING = "–", SPACE = ZH ? "" : "\u202f";
  const root = document.documentElement;
  const controls = [...document.querySelectorAll("[data-filter]")];
  const panels = new Map([...document.querySelectorAll("[data-panel]")].map((el) => [el.dataset.panel, el]));
  const defaults = Object.fromEntries(controls.map((el) => [el.dataset.filter, el.value]));
  const state = { ...defaults };
  const drawn = new Set();

  // Numbers in words.
  const fixed = (value, digits) =>
    new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
      .format(value).replace(/^-(?=[0.]+$)/, "");
  const short = (value) => fixed(value, 1).replace(/\.0$/, "");
  // As report/words.py fills a sentence: "{users:user|users}" is the former where users reads 1.
  const fill = (text, blanks) => text.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (_, name, one, several) =>
    one === undefined ? blanks[name] : String(blanks[name]) === "1" ? one : several);
  const SHOWN = {
    count: (value) => fixed(value, 0),
    share: (value) => (value > 0 && value < 0.0005 ? `<${SPACE}0.1${SPACE}%` : `${fixed(100 * value, 1)}${SPACE}%`),
    money: (value) => fixed(value, Math.abs(value) >= 1000 ? 0 : 2),
    number: (value) => fixed(value, Number.isInteger(value) || Math.abs(value) >= 1000 ? 0 : 3),
    factor: (value) => `${fixed(value, value && Math.abs(value) < 1 ? 2 : 1)}×`,
    duration: (value) => {
      for (const [unit, size] of [["days", 86400], ["hours", 3600], ["minutes", 60]])
        if (value >= size) return fill(WORDS[unit], { n: short(value / size) });
      return fill(WORDS.seconds, { n: short(value) });
    },
  };
  const shown = (value, kind) => {
    if (value === null || value === undefined) return NOTHING;
    return SHOWN[kind] ? SHOWN[kind](value) : String(value);
  };

  // Choices, kept in the address.
  const isDefault = () => controls.every((el) => state[el.dataset.filter] === defaults[el.dataset.filter]);
  function read() {
    const asked = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    for (const el of controls) {
      const name = el.dataset.filter, wanted = asked.get(name);
      const known = wanted !== null && (el.tagName !== "SELECT" || [...el.options].some((o) => o.value === wanted));
      el.value = known ? wanted : defaults[name];
      state[name] = el.value;
    }
    if (asked.has("theme")) root.dataset.theme = asked.get("theme") === "dark" ? "dark" : "light";
    pressed();
  }
  function write() {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (value !== defaults[name]) kept.set(name, value);
    if (root.dataset.theme) kept.set("theme", root.dataset.theme);
    history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
  }
  const within = (day) => (!state.from || day >= state.from) && (!state.until || day <= state.until);

  // What a panel shows under the present choices.
  const NO_VIEW = { told: WORDS.no_view, figure: null, columns: [], rows: [], note: "" };
  function viewOf(name) {
    const panel = DOC.panels[name], key = panel.filters.map((f) => state[f] ?? "").join("|");
    if (panel.pooled) return pooledView(panel, DOC.pools[panel.section][key]);
    const view = panel.views[key] ?? NO_VIEW;
    return panel.along && (state.from || state.until) ? cut(view) : view;
  }
  function cut(view) {
    const keep = view.rows.map((row) => within(row[0])), rows = view.rows.filter((_, n) => keep[n]);
    const told = `${view.told}${ZH ? "" : " "}${ranged(rows.length, view.rows.length)}`;
    if (!view.figure) return { ...view, rows, told };
    const data = view.figure.data.map((trace) => {
      const pick = (value) =>
        Array.isArray(value) && value.length === keep.length ? value.filter((_, n) => keep[n]) : value;
      const found = Object.fromEntries(Object.entries(trace).map(([k, v]) => [k, pick(v)]));
      if (trace.marker) found.marker = Object.fromEntries(Object.entries(trace.marker).map(([k, v]) => [k, pick(v)]));
      return found;
    });
    return { ...view, rows, told, figure: { data, layout: { ...view.figure.layout, shapes: shaded(view, rows) } } };
  }
  // Shaded days reach no further than the days that are shown.
  function shaded({ figure }, rows) {
    const [first, last] = [rows[0]?.[0] ?? "", `${rows[rows.length - 1]?.[0] ?? ""}T23:59`];
    return (figure.layout.shapes ?? []).filter(({ x0, x1 }) => x1 >= first && x0 <= last)
      .map((one) => ({ ...one, x0: one.x0 < first ? first : one.x0, x1: one.x1 > last ? last : one.x1 }));
  }
  const ranged = (shownRows, of) => fill(WORDS.range, { shown: shown(shownRows, "count"), of: shown(of, "count") });

  // Retention, summed over the cohorts in the range.
  function wilson(part, whole) {
    if (!whole) return [null, null, null];
    const z = 1.959963984540054, p = part / whole, scale = 1 + (z * z) / whole;
    const reach = z * Math.sqrt((p * (1 - p)) / whole + (z * z) / (4 * whole * whole));
    const centre = p + (z * z) / (2 * whole);
    return [p, Math.max(0, (centre - reach) / scale), Math.min(1, (centre + reach) / scale)];
  }
  // Cohorts that are not listed are summed: the choice of a range leaves them out or takes them all.
  const withEarlier = (pool) => !state.from && (!state.until || state.until >= pool.cohorts[0]);
  function sums(pool, kept) {
    return pool.cells.map((_, place) => {
      let [users, retained] = withEarlier(pool) ? pool.earlier[place] : [0, 0];
      for (const n of kept) if (pool.retained[n][place] !== null) {
        users += pool.users[n];
        retained += pool.retained[n][place];
      }
      return [pool.titles[place], users, retained, ...wilson(retained, users)];
    });
  }
  const after = () => ({ text: WORDS[`axis_${state.period}`], standoff: 8 });
  function pooledView(panel, pool) {
    if (!pool) return NO_VIEW;
    const kept = pool.cohorts.map((_, n) => n).filter((n) => within(pool.cohorts[n]));
    return panel.pooled === "curve" ? curveView(panel, pool, kept) : heatView(panel, pool, kept);
  }
  function curveView(panel, pool, kept) {
    const rows = sums(pool, kept), [cell, users, , share, low, high] = rows[pool.key];
    const known = rows.map((row, n) => [row, n]).filter(([row]) => row[1] > 0);
    const x = known.map(([, n]) => pool.cells[n]), pick = (place) => known.map(([row]) => row[place]);
    const blanks = { users: shown(users, "count"), cell, share: shown(share, "share"), low: shown(low, "share"), high: shown(high, "share") };
    const area = { type: "scatter", mode: "lines", x, line: { width: 0, color: "$c1" }, hoverinfo: "skip", showlegend: false };
    const data = [
      { ...area, y: pick(4) },
      { ...area, y: pick(5), fill: "tonexty", fillcolor: "$c1soft" },
      {
        type: "scatter", mode: "lines+markers", x, y: pick(3), line: { color: "$c1", width: 2.5 }, marker: { size: 6, color: "$c1" }, showlegend: false,
        customdata: known.map(([row]) => [row[0], ...row.slice(1, 3).map((v) => shown(v, "count")), ...row.slice(3).map((v) => shown(v, "share"))]),
        hovertemplate: "%{customdata[0]}: <b>%{customdata[3]}</b> (%{customdata[4]}–%{customdata[5]})<br>%{customdata[2]} / %{customdata[1]}<extra></extra>",
      },
    ];
    const layout = {
      height: 320, margin: { l: 48, r: 12, t: 10, b: 48 },
      xaxis: { type: "category", title: after(), categoryorder: "array", categoryarray: pool.cells, range: [-0.3, pool.cells.length - 0.7] },
      yaxis: { tickformat: ".2~%", rangemode: "tozero", ...below(known.filter(([, n]) => n > 0).map(([row]) => row[5])) },
    };
    return {
      told: users ? fill(WORDS.curve_told, blanks) : kept.length ? WORDS.curve_none : WORDS.no_view,
      figure: { data, layout }, columns: panel.columns, rows, note: "",
    };
  }
  // The colours span what is there, in steps of 5 %, and never less than 10 %.
  function scale(values) {
    const low = Math.floor(20 * Math.min(...values, 1)) / 20, high = Math.ceil(20 * Math.max(...values, 0)) / 20;
    return { zmin: Math.max(0, Math.min(low, high - 0.1)), zmax: Math.min(1, Math.max(high, low + 0.1)) };
  }
  // Where few stay, what comes after the first period would lie flat on the ground.
  const below = (highs) => (highs.length && Math.max(...highs) < 0.4 ? { range: [0, 1.15 * Math.max(...highs, 0.01)] } : {});
  function heatView(panel, pool, kept) {
    const at = (n, place) => {
      const count = pool.retained[n][place];
      return count === null || !pool.users[n] ? null : count / pool.users[n];
    };
    const rows = kept.map((n) => [pool.cohorts[n], pool.users[n], ...pool.cells.map((_, place) => at(n, place))]);
    const shares = rows.map((row) => row.slice(2)), large = rows.filter((row) => row[1] >= 30);
    const known = (some, from) => some.map((row) => row.slice(from)).flat().filter((v) => v !== null);
    const flat = known(rows, 2), rest = known(large.length ? large : rows, 3);
    const cells = { type: "heatmap", x: pool.cells, y: rows.map((row) => row[0]), z: shares };
    // The gaps between cells are plain; only cells that are not there show the hatched ground.
    const ground = { ...cells, colorscale: [[0, "$card"], [1, "$card"]], showscale: false, hoverinfo: "skip" };
    const data = [ground, {
      ...cells, colorscale: "$heat", xgap: 1, ygap: 1, hoverongaps: false,
      ...scale(rest.length ? rest : flat),
      customdata: kept.map((n) => pool.cells.map((_, p) => [pool.titles[p], shown(pool.retained[n][p], "count"), shown(pool.users[n], "count"), shown(at(n, p), "share")])),
      hovertemplate: "%{y} · %{customdata[0]}: <b>%{customdata[3]}</b><br>%{customdata[1]} / %{customdata[2]}<extra></extra>",
      colorbar: { thickness: 10, tickformat: ".2~%", outlinewidth: 0, x: 1.01, len: 1 },
    }];
    const layout = {
      height: Math.min(620, Math.max(220, 80 + 18 * rows.length)), margin: { l: 84, r: 8, t: 10, b: 48 }, hatched: true,
      xaxis: { type: "category", title: after(), showgrid: false }, yaxis: { type: "category", autorange: "reversed", showgrid: false },
    };
    const older = withEarlier(pool) && pool.earlier[0][0];
    return {
      told: heatTold(pool, kept), figure: { data, layout },
      columns: [panel.columns[0], panel.columns[1], ...pool.titles.map((title) => [title, "share"])],
      rows, note: older ? fill(WORDS.earlier, { users: shown(older, "count") }) : "",
    };
  }
  function heatTold(pool, kept) {
    const known = kept.filter((n) => pool.retained[n][pool.key] !== null && pool.users[n])
      .map((n) => [pool.retained[n][pool.key] / pool.users[n], pool.cohorts[n], pool.users[n]]);
    const cohorts = shown(kept.length, "count");
    if (!known.length) return fill(WORDS.heat_none, { cohorts });
    const large = known.filter((one) => one[2] >= 30), some = large.length ? large : known;
    const ordered = [...some].sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1) || a[2] - b[2]);
    const [worst, best] = [ordered[0], ordered[ordered.length - 1]];
    return fill(some.length > 1 ? WORDS.heat_told : WORDS.heat_told_one, {
      cohorts, cell: pool.titles[pool.key], best: shown(best[0], "share"), best_cohort: best[1],
      worst: shown(worst[0], "share"), worst_cohort: worst[1],
    });
  }

  // Showing it.
  function table(el, view) {
    el.querySelector(".scroll").hidden = !view.rows.length;
    const head = el.querySelector("thead"), body = el.querySelector("tbody");
    const cell = (tag, scope, kind, text) => {
      const made = document.createElement(tag);
      if (scope) made.scope = scope;
      if (["text", "word", "name", "date"].includes(kind)) made.className = kind;
      made.textContent = text;
      return made;
    };
    const top = document.createElement("tr");
    top.append(...view.columns.map(([title, kind]) => cell("th", "col", kind, title)));
    head.replaceChildren(top);
    body.replaceChildren(...view.rows.map((row) => {
      const made = document.createElement("tr");
      made.append(...row.map((value, n) => cell(n ? "td" : "th", n ? "" : "row", view.columns[n][1], shown(value, view.columns[n][1]))));
      return made;
    }));
    el.querySelector(".note").textContent = view.note;
  }
  function draw(name) {
    const box = panels.get(name).querySelector(".figure");
    drawn.add(name);
    if (!box || !window.Plotly) return;
    const { figure, rows } = viewOf(name);
    box.parentElement.hidden = !figure;
    if (!figure) return Plotly.purge(box);
    // Values that the table holds stand in the figure as {column: n}.
    const filled = figure.data.map((trace) => Object.fromEntries(Object.entries(trace).map(
      ([key, value]) => [key, Number.isInteger(value?.column) ? rows.map((row) => row[value.column]) : value])));
    const css = getComputedStyle(root), colour = (key) => css.getPropertyValue(`--${key}`).trim();
    const heat = [0, 1, 2, 3, 4].map((n) => [n / 4, colour(`heat${n}`)]);
    // Only what is a colour: an event may be called "$pageview".
    const themed = (value, key) => {
      if (typeof value === "string" && value.startsWith("$") && /color/.test(key)) return value === "$heat" ? heat : colour(value.slice(1));
      if (Array.isArray(value)) return value.map((one) => themed(one, key));
      if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, k)]));
      return value;
    };
    const { hatched, ...plain } = figure.layout, ink = colour("ink"), line = colour("line");
    const layout = {
      ...themed(plain), autosize: true, dragmode: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: hatched ? colour("empty") : "rgba(0,0,0,0)",
      font: { color: ink, size: 12, family: css.getPropertyValue("--font") }, hoverlabel: { bgcolor: colour("card"), bordercolor: line, font: { color: ink }, align: "left" },
    };
    for (const axis of ["xaxis", "yaxis"])
      layout[axis] = {
        ...(plain[axis]?.type === "date" ? { tickformat: "%Y-%m-%d", nticks: Math.max(3, Math.floor(box.clientWidth / 130)) } : {}),
        gridcolor: line, linecolor: line, zerolinecolor: line, fixedrange: true, zeroline: false, automargin: true, ...layout[axis] };
    Plotly.react(box, themed(filled), layout, { displayModeBar: false, responsive: true, locale: "en" });
  }
  function show(name) {
    const el = panels.get(name), view = viewOf(name);
    el.querySelector(".told").textContent = view.told;
    table(el, view);
    if (drawn.has(name)) draw(name);
  }
  function showAll(changed) {
    for (const [name] of panels) {
      const panel = DOC.panels[name], dates = panel.along && (changed.has("from") || changed.has("until"));
      if (dates || panel.filters.some((f) => changed.has(f))) show(name);
    }
  }
  function choose(name, value) {
    state[name] = value;
    for (const el of controls) if (el.dataset.filter === name) el.value = value;
    write();
    showAll(new Set([name]));
  }
  function pressed() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.getElementById("theme").setAttribute("aria-pressed", String(dark));
    return dark;
  }
  const redraw = () => { pressed(); for (const name of drawn) draw(name); };

  // The address keeps the choices, so a link within the page only moves there.
  for (const link of document.querySelectorAll('a[href^="#"]')) link.addEventListener("click", (event) => {
    const there = document.querySelector(link.getAttribute("href"));
    event.preventDefault();
    there.tabIndex = -1;
    there.focus({ preventScroll: true });
    there.scrollIntoView();
  });
  for (const el of controls) el.addEventListener("change", () => choose(el.dataset.filter, el.value));
  document.getElementById("reset").addEventListener("click", () => {
    const changed = new Set(Object.keys(state).filter((name) => state[name] !== defaults[name]));
    for (const el of controls) el.value = state[el.dataset.filter] = defaults[el.dataset.filter];
    write();
    showAll(changed);
  });
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = pressed() ? "light" : "dark";
    write();
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) return;
    read();
    for (const [name] of panels) show(name);
    redraw();
  });
  read();
  if (!isDefault()) for (const [name] of panels) show(name);

  // Figures in view first, then the others when the browser has time.
  addEventListener("DOMContentLoaded", () => {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) {
        near.unobserve(entry.target);
        if (!drawn.has(entry.target.dataset.panel)) draw(entry.target.dataset.panel);
      }
    }, { rootMargin: "200px" });
    const queue = [...panels.values()].filter((el) => el.querySelector(".figure"));
    for (const el of queue) near.observe(el);
    // The first figure at once: with it the page is there.
    if (queue.length) draw(queue[0].dataset.panel);
    root.dataset.ready = "true";
    performance.mark("ready");
    const later = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
    const next = () => {
      const el = queue.shift();
      if (!el) { root.dataset.drawn = "all"; return; }
      if (!drawn.has(el.dataset.panel)) draw(el.dataset.panel);
      later(next);
    };
    later(next);
  });
})();
