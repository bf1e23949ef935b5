// Charts as SVG, made of numbers alone: no text of the data becomes markup.
"use strict";

const charts = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 44, BOTTOM = 18, TOP = 8, NARROW = 280;

  function element(name, attributes, text) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function short(number) {
    if (number >= 1e9) return (number / 1e9).toPrecision(3) + "G";
    if (number >= 1e6) return (number / 1e6).toPrecision(3) + "M";
    if (number >= 1e4) return (number / 1e3).toPrecision(3) + "k";
    return String(Math.round(number * 100) / 100);
  }

  // The least of 1, 2, 5 times a power of ten that is not below.
  function roundUp(value) {
    if (!(value > 0)) return 1;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value);
  }

  // As wide as there is room, so that text is as large as elsewhere.
  const widthOf = (figure) => Math.max(NARROW, figure.clientWidth);

  function frame(figure, width, height, top, format, from, to, label) {
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    for (let i = 0; i <= 2; i++) {
      const y = TOP + ((height - TOP - BOTTOM) * i) / 2;
      svg.append(element("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }));
      svg.append(element("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, format(top * (1 - i / 2))));
    }
    const time = (ms) => new Date(ms).toLocaleString([], to - from > 86400000 ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit" });
    svg.append(element("text", { x: LEFT, y: height - 3 }, time(from)));
    svg.append(element("text", { x: width, y: height - 3, "text-anchor": "end" }, time(to)));
    figure.replaceChildren(svg);
    return svg;
  }

  // parts: the names of a bucket's stacked values, which are the classes of their colours, from the bottom up.
  function bars(figure, buckets, parts, from, to, label, height = 150) {
    const totals = buckets.map((bucket) => parts.reduce((sum, part) => sum + bucket.values[part], 0));
    const top = roundUp(Math.max(1, ...totals)), inner = height - TOP - BOTTOM;
    const width = widthOf(figure), svg = frame(figure, width, height, top, short, from, to, label);
    const step = (width - LEFT) / Math.max(1, buckets.length);
    buckets.forEach((bucket, i) => {
      let y = height - BOTTOM;
      for (const part of parts) {
        const tall = (inner * bucket.values[part]) / top;
        if (tall <= 0) continue;
        y -= tall;
        const bar = element("rect", { class: part, x: LEFT + i * step + step * 0.1, y, width: Math.max(1, step * 0.8), height: Math.max(0.7, tall) });
        bar.append(element("title", {}, `${new Date(bucket.at).toLocaleString()}\n${part}: ${bucket.values[part]}`));
        svg.append(bar);
      }
    });
  }

  // points: [ms, value]; top 1 for shares, else as the values need.
  function line(figure, points, format, label, fixedTop, height = 150) {
    if (points.length < 2) {
      const note = document.createElement("p");
      note.className = "none";
      note.textContent = "gathering …";
      figure.replaceChildren(note);
      return;
    }
    const from = points[0][0], to = points[points.length - 1][0], inner = height - TOP - BOTTOM;
    const top = fixedTop || roundUp(Math.max(...points.map((point) => point[1])));
    const width = widthOf(figure), svg = frame(figure, width, height, top, format, from, to, label);
    const place = ([ms, value]) => `${LEFT + ((ms - from) / (to - from)) * (width - LEFT)},${TOP + inner * (1 - Math.min(1, value / top))}`;
    const path = points.map(place).join(" ");
    svg.append(element("polygon", { class: "area", points: `${LEFT},${TOP + inner} ${path} ${width},${TOP + inner}` }));
    svg.append(element("polyline", { class: "line", points: path }));
  }

  return { bars, line, short };
})();
