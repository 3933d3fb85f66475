// The studio's face: it draws what the kernel says and sends gestures back. All editing happens in Python.
// Colours: cividis, as viz.plot_schedule; safe for every kind of colour vision.
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const TOOLS = {
  drag: ["Drag", "Drag: pull a column's curve; the rows above and below follow"],
  paint: ["Paint", "Paint: set cells to the level in the field"],
  freeze: ["Freeze", "Freeze: click a frame to make it clean from the start"],
  delay: ["Shift", "Shift: drag a column up or down in time"],
  copy: ["Copy", "Copy: give the frames named in the field this column's timesteps"],
};
const SILENT = "The kernel does not answer: it is busy, or it has ended. What is drawn is kept in this page, and Save still works.";

function colour(level) {
  if (level === null || level < 0 || level > 1) return "#d0006f";
  const x = level * (CIVIDIS.length - 1), i = Math.min(Math.floor(x), CIVIDIS.length - 2), part = x - i;
  const mix = [1, 3, 5].map((k) => {
    const [a, b] = [CIVIDIS[i], CIVIDIS[i + 1]].map((c) => parseInt(c.slice(k, k + 2), 16));
    return Math.round(a + (b - a) * part);
  });
  return `rgb(${mix.join(",")})`;
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function canvasOf(width, height, label, focusable) {
  const scale = window.devicePixelRatio || 1;
  const canvas = make("canvas", { width: width * scale, height: height * scale, "aria-label": label, role: "img" });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  if (focusable) { canvas.tabIndex = 0; canvas.setAttribute("role", "application"); }
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return [canvas, context];
}

/**
 * Strokes of a pointer: begin(event), move(event), end(event). A finger begins one by a tap, by going sideways, or by
 * resting; up and down it scrolls the page, unless atOnce().
 */
function strokes(canvas, begin, move, end = () => {}, atOnce = () => false) {
  const REST = 350, SLOP = 8;
  let down = null, held = false, rest = null;
  function start(event) {
    clearTimeout(rest);
    held = true;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    begin(event);
  }
  function over(event) {
    clearTimeout(rest);
    if (held) end(event);
    [down, held] = [null, false];
  }
  canvas.addEventListener("pointerdown", (e) => {
    if (!e.isPrimary) { over(e); return; } // two fingers zoom
    down = e;
    if (e.pointerType !== "touch" || atOnce()) start(e);
    else rest = setTimeout(() => start(e), REST);
  });
  canvas.addEventListener("pointermove", (e) => {
    if (down && !held) {
      const [x, y] = [Math.abs(e.clientX - down.clientX), Math.abs(e.clientY - down.clientY)];
      if (Math.max(x, y) < SLOP) return;
      if (x > y) start(down); else over(e);
    }
    if (held) move(e);
  });
  canvas.addEventListener("pointerup", (e) => { if (down && !held) start(down); over(e); });
  canvas.addEventListener("pointercancel", over);
  canvas.addEventListener("touchmove", (e) => { if (held && e.cancelable) e.preventDefault(); }, { passive: false });
}

function picture(source, drawn) {
  const image = new Image();
  image.onload = () => drawn(image);
  image.src = source;
}

// ---------------------------------------------------------------- a run: strips, and a scrub bar over (row, frame)
function strip(title) {
  const [sheet, paper] = canvasOf(576, 64, `${title}: the clean estimate of every frame at the chosen row`);
  const [large, page] = canvasOf(128, 128, `${title}: the chosen frame`);
  const row = make("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": `${title}: row` });
  const frame = make("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": `${title}: frame` });
  const play = make("button", { type: "button", title: "Play the finished video", "aria-label": `${title}: play` }, "▶");
  const said = make("div", { class: "ps-said" });
  const scores = make("table", { class: "ps-scores" });
  const words = make("code", { class: "ps-line" });
  const box = make("section", { class: "ps-strip", "aria-label": title },
    make("div", { class: "ps-side" }, large, play),
    make("div", { class: "ps-main" }, make("div", { class: "ps-head" }, make("b", {}, title), words), sheet,
      make("div", { class: "ps-scrub" }, make("label", {}, "row ", row), make("label", {}, "frame ", frame), said), scores));
  let lane = null, timer = null;
  const known = new Map();
  function draw() {
    if (!lane) return;
    const r = +row.value, f = +frame.value, n = lane.frames, source = lane.sheets[r];
    const level = lane.schedule[r] ? lane.schedule[r][f] : null;
    said.textContent = `row ${r}, frame ${f}: tau ${level === null ? "?" : level.toFixed(2)}${source ? "" : " (picture comes when there is time)"}`;
    if (!source) return;
    const put = (image) => {
      const w = image.width / n;
      paper.clearRect(0, 0, 576, 64);
      for (let i = 0; i < n; i++) paper.drawImage(image, i * w, 0, w, image.height, i * (576 / n), 0, Math.min(64, 576 / n) - 2, Math.min(64, 576 / n) - 2);
      for (let i = 0; i < n; i++) {
        paper.fillStyle = colour(lane.schedule[r][i]);
        paper.fillRect(i * (576 / n), 60, Math.min(64, 576 / n) - 2, 4);
      }
      paper.strokeStyle = "#e69f00"; paper.lineWidth = 2;
      paper.strokeRect(f * (576 / n) + 1, 1, Math.min(64, 576 / n) - 4, Math.min(64, 576 / n) - 4);
      page.imageSmoothingEnabled = false;
      page.drawImage(image, f * w, 0, w, image.height, 0, 0, 128, 128);
    };
    if (known.has(source)) put(known.get(source));
    else picture(source, (image) => { known.set(source, image); if (lane.sheets[+row.value] === source) put(image); });
  }
  play.addEventListener("click", () => {
    if (timer) { clearInterval(timer); timer = null; play.textContent = "▶"; draw(); return; }
    if (!lane || !lane.clip) return;
    picture(lane.clip, (image) => {
      const count = Math.round(image.width / image.height), w = image.width / count;
      let at = 0;
      play.textContent = "■";
      timer = setInterval(() => { page.imageSmoothingEnabled = false; page.drawImage(image, at * w, 0, w, image.height, 0, 0, 128, 128); at = (at + 1) % count; }, 1000 / (lane.fps || 16));
    });
  });
  row.addEventListener("input", draw);
  frame.addEventListener("input", draw);
  return {
    box,
    show(next, latest) {
      const first = !lane;
      lane = next;
      if (!lane) return;
      row.max = lane.schedule.length - 1;
      frame.max = lane.frames - 1;
      const last = lane.sheets.reduce((found, sheet, i) => (sheet ? i : found), 0);
      if (latest !== undefined) { if (lane.sheets[latest] && latest >= +row.value) row.value = latest; }
      else if (first) { row.value = last; frame.value = lane.frames - 1; }
      words.textContent = lane.title || "";
      words.title = lane.title || "";
      const rows = Object.entries(lane.scores || {}).map(([name, values]) =>
        make("tr", {}, ...values.map((v) => make("td", {}, v.toFixed(name === "ssim" ? 2 : 1))), make("th", { scope: "row" }, name === "psnr" ? "psnr (dB)" : name)));
      scores.replaceChildren(...rows);
      draw();
    },
  };
}

function player({ model, el }) {
  el.classList.add("ps");
  const one = strip("states");
  const shown = () => one.show(model.get("lane"));
  el.append(one.box);
  model.on("change:lane", shown);
  shown();
  return () => model.off("change:lane", shown);
}

// ---------------------------------------------------------------- the matrix
function matrix(send, level, copyTo) {
  const W = 460, H = 340, L = 34, T = 6, B = 22;
  const [canvas, c] = canvasOf(W, H, "schedule: arrows move, plus and minus change the level, Ctrl+Z undoes", true);
  canvas.classList.add("ps-matrix");
  let view = null, at = { row: 0, frame: 0 }, held = null, tool = "drag", count = 0, pending = [];
  const size = () => [(W - L - 4) / view.frames, (H - T - B) / view.matrix.length];
  const cell = (event) => {
    const box = canvas.getBoundingClientRect(), [w, h] = size();
    const x = (event.clientX - box.left) * (W / box.width) - L, y = (event.clientY - box.top) * (H / box.height) - T;
    return { frame: Math.min(Math.max(Math.floor(x / w), 0), view.frames - 1), row: Math.min(Math.max(Math.floor(y / h), 0), view.matrix.length - 1), inside: Math.min(Math.max(x / w - Math.floor(x / w), 0), 1) };
  };
  function draw() {
    if (!view) return;
    const style = getComputedStyle(canvas), ink = style.color, [w, h] = size();
    c.clearRect(0, 0, W, H);
    view.matrix.forEach((row, r) => row.forEach((v, f) => { c.fillStyle = colour(v); c.fillRect(L + f * w, T + r * h, w - 1, Math.max(h - (h > 6 ? 1 : 0), 1)); }));
    c.fillStyle = ink; c.font = "11px sans-serif"; c.textAlign = "center";
    for (let f = 0; f < view.frames; f += Math.ceil(view.frames / 20)) c.fillText(f, L + f * w + w / 2, H - 8);
    c.textAlign = "right";
    const every = Math.ceil(view.matrix.length / 12);
    for (let r = 0; r < view.matrix.length; r += every) c.fillText(r, L - 5, T + r * h + Math.min(h / 2 + 4, h + 3));
    // each column's curve: left is clean, right is noise
    c.strokeStyle = "#56b4e9"; c.lineWidth = 2;
    const f = at.frame;
    c.beginPath();
    view.matrix.forEach((row, r) => { const x = L + f * w + 2 + (row[f] ?? 0) * (w - 5), y = T + r * h + h / 2; r ? c.lineTo(x, y) : c.moveTo(x, y); });
    c.stroke();
    c.strokeStyle = "#d0006f"; c.lineWidth = 2;
    for (const fault of view.faults) c.strokeRect(L + fault.frame * w + 1, T + fault.row * h + 1, w - 3, Math.max(h - 3, 2));
    c.strokeStyle = "#ffffff"; c.lineWidth = 3; c.strokeRect(L + f * w + 0.5, T + at.row * h + 0.5, w - 2, Math.max(h - 2, 2));
    c.strokeStyle = "#000000"; c.lineWidth = 1; c.strokeRect(L + f * w + 0.5, T + at.row * h + 0.5, w - 2, Math.max(h - 2, 2));
    const v = view.matrix[at.row][f];
    canvas.setAttribute("aria-description", `row ${at.row}, frame ${f}, tau ${v === null ? "not a number" : v.toFixed(2)}`);
  }
  const edit = (kind, more) => send({ do: "edit", kind, ...more });
  // An answer of the kernel may be older than the last keys: what it has not heard of yet is put on top of it.
  const foresee = () => { for (const { row, frame, level } of pending) if (row < view.matrix.length && frame < view.frames) view.matrix[row][frame] = level; };
  function gesture(event, begins) {
    const { row, frame, inside } = cell(event);
    if (begins) { held = { row, frame, gesture: `${Date.now()}-${count++}`, from: row }; }
    at = { row, frame: tool === "paint" ? frame : held.frame };
    if (tool === "drag") edit("drag", { frame: held.frame, row, level: cell(event).frame === held.frame ? Math.round(inside * 100) / 100 : +(frame > held.frame), gesture: held.gesture });
    if (tool === "paint") edit("paint", { frames: [frame], rows: [row], level: +level.value, gesture: held.gesture });
    if (tool === "delay" && row !== held.from) { edit("delay", { frame: held.frame, by: row - held.from }); held.from = row; }
    if (tool === "freeze" && begins) edit("freeze", { frame });
    if (tool === "copy" && begins) edit("copy", { frame, to: copyTo.value });
    draw();
  }
  let waiting = null;
  const soon = () => { const last = waiting; waiting = null; if (held && last) gesture(last, false); };
  strokes(canvas, (e) => { if (view) gesture(e, true); }, (e) => { if (held && !waiting) requestAnimationFrame(soon); waiting = e; }, () => { soon(); held = null; });
  canvas.addEventListener("keydown", (e) => {
    if (!view) return;
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    const v = view.matrix[at.row][at.frame] ?? 0, step = e.shiftKey ? 0.01 : 0.05;
    const command = (e.ctrlKey || e.metaKey) && !e.getModifierState("AltGraph"), key = e.key.toLowerCase();
    if (command) { if (key === "z") send({ do: e.shiftKey ? "redo" : "undo" }); else if (key === "y") send({ do: "redo" }); else return; }
    else if (move) at = { row: Math.min(Math.max(at.row + move[0], 0), view.matrix.length - 1), frame: Math.min(Math.max(at.frame + move[1], 0), view.frames - 1) };
    else if ("+=-_".includes(e.key)) {
      const next = Math.round(100 * Math.min(Math.max(v + ("+=".includes(e.key) ? step : -step), 0), 1)) / 100;
      const number = edit(tool === "paint" ? "paint" : "drag", { ...(tool === "paint" ? { frames: [at.frame], rows: [at.row] } : at), level: next });
      pending.push({ ...at, level: next, number }); // quick fingers need not wait for the kernel
      foresee();
    }
    else if (key === "f") edit("freeze", { frame: at.frame });
    else if (e.key === "[" || e.key === "]") edit("delay", { frame: at.frame, by: e.key === "]" ? 1 : -1 });
    else return;
    e.preventDefault(); e.stopPropagation(); draw();
  });
  return {
    canvas,
    use(name) { tool = name; },
    get at() { return at; },
    show(next, heard) {
      pending = pending.filter(({ number }) => number > heard);
      view = { ...next, matrix: next.matrix.map((row) => [...row]) };
      foresee();
      at.row = Math.min(at.row, view.matrix.length - 1); at.frame = Math.min(at.frame, view.frames - 1);
      draw();
    },
  };
}

// ---------------------------------------------------------------- the whole studio
function studio({ model, el }) {
  el.classList.add("ps");
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  let asked = 0, zooName = "", sliders = {}, shownKnown = "", sent = 0, heard = 0;
  const page = `${Date.now()}-${Math.random()}`; // several pages may show one studio
  const error = make("div", { class: "ps-error", role: "alert" });
  const send = (message) => {
    if (!asked) asked = Date.now();
    try { model.send({ ...message, page, number: ++sent }); } catch (problem) { error.textContent = SILENT; }
    return sent;
  };
  const button = (words, title, onclick, more = {}) => make("button", { type: "button", title, onclick, ...more }, words);
  const number = (label, attributes) => { const input = make("input", { type: "number", ...attributes }); return [make("label", {}, `${label} `, input), input]; };

  const zoo = make("select", { "aria-label": "member of the zoo" });
  const arguments_ = make("div", { class: "ps-sliders" });
  const [levelBox, level] = number("level", { min: 0, max: 1, step: 0.05, value: 0.5 });
  const copyTo = make("input", { type: "text", size: 6, value: "1-3", "aria-label": "frames to copy to" });
  const grid = matrix(send, level, copyTo);
  const tools = Object.entries(TOOLS).map(([name, [words, title]]) =>
    button(words, title, () => choose(name), { "aria-pressed": "false", "data-tool": name }));
  const hint = make("div", { class: "ps-hint" });
  function choose(name) {
    grid.use(name);
    for (const tool of tools) tool.setAttribute("aria-pressed", String(tool.dataset.tool === name));
    hint.textContent = TOOLS[name][1];
  }
  const undo = button("↶", "Undo (Ctrl+Z)", () => send({ do: "undo" }), { "aria-label": "undo" });
  const redo = button("↷", "Redo (Ctrl+Y)", () => send({ do: "redo" }), { "aria-label": "redo" });
  const facts = make("div", { class: "ps-facts", "aria-live": "polite" });
  const faults = make("div", { class: "ps-faults", role: "list", "aria-label": "faults" });
  const line = make("code", { class: "ps-line" });
  const copyLine = button("Copy line", "Copy the Python line that rebuilds the matrix", () => navigator.clipboard?.writeText(model.get("view").line));
  const save = button("Save", "Save the matrix as .json", () => {
    const link = make("a", { href: URL.createObjectURL(new Blob([model.get("view").json], { type: "application/json" })), download: "schedule.json" });
    link.click();
  });
  const open = make("input", { type: "file", accept: ".json", hidden: true, onchange: async () => { if (open.files[0]) send({ do: "read", text: await open.files[0].text() }); open.value = ""; } });
  const load = button("Open", "Open a .json matrix", () => open.click());

  const known = make("div", { class: "ps-known", "aria-label": "known frames" });
  const list = make("div", { class: "ps-given" });
  const assets = make("select", { "aria-label": "picture or clip from the assets" });
  const file = make("input", { type: "file", accept: "image/*,video/*", hidden: true, onchange: () => { if (file.files[0]) drop(file.files[0]); file.value = ""; } });
  const pick = button("Add", "Put the chosen picture or clip at the chosen frame", () => assets.value === "file" ? file.click() : send({ do: "drop", name: assets.value, at: grid.at.frame }));
  function drop(one, at = grid.at.frame) {
    const reader = new FileReader();
    reader.onload = () => send({ do: "drop", name: one.name, content: reader.result.split(",")[1] || "", at });
    reader.readAsDataURL(one);
  }

  const prompt = make("input", { type: "text", class: "ps-prompt", "aria-label": "caption", placeholder: "caption", onchange: () => send({ do: "settings", prompt: prompt.value }) });
  const [seedBox, seed] = number("seed", { step: 1, onchange: () => send({ do: "settings", seed: +seed.value }) });
  const [guidanceBox, guidance] = number("guidance", { min: 1, max: 10, step: 0.5, onchange: () => send({ do: "settings", guidance: +guidance.value }) });
  const run = button("Run", "Sample this schedule", () => send({ do: "run" }), { class: "ps-go" });
  const pin = button("Pin as B", "Keep this schedule to compare with", () => send({ do: "pin" }));
  const compare = button("Compare", "Sample both, with the same seed", () => send({ do: "compare" }));
  const cancel = button("Cancel", "Stop the run", () => send({ do: "cancel" }));
  const status = make("div", { class: "ps-status", role: "status", "aria-live": "polite" });
  const strips = { A: strip("A"), B: strip("B") };
  strips.B.box.hidden = true;

  el.append(
    make("div", { class: "ps-bar" }, zoo, arguments_),
    make("div", { class: "ps-top" },
      make("div", { class: "ps-left" }, make("div", { class: "ps-bar", role: "toolbar", "aria-label": "tools" }, ...tools, undo, redo),
        grid.canvas, known),
      make("div", { class: "ps-right" }, hint, make("div", { class: "ps-bar" }, levelBox, make("label", {}, "copy to ", copyTo)),
        facts, faults, make("div", { class: "ps-bar" }, copyLine, save, load, open), line,
        make("div", { class: "ps-bar" }, assets, pick, file), list)),
    make("div", { class: "ps-bar" }, prompt, seedBox, guidanceBox),
    make("div", { class: "ps-bar" }, run, pin, compare, cancel, status),
    error, strips.A.box, strips.B.box);
  choose("drag");

  const values = () => Object.fromEntries(Object.entries(sliders).map(([name, input]) =>
    [name, input.type === "checkbox" ? input.checked : input.tagName === "SELECT" ? input.value : +input.value]));
  const sendZoo = () => send({ do: "load", name: zoo.value, arguments: values() });
  function showZoo(view) {
    if (!zoo.options.length) {
      zoo.append(...Object.keys(view.zoo).map((name) => make("option", { value: name }, name)), make("option", { value: "", disabled: true }, "(edited)"));
      zoo.addEventListener("change", () => { build(view, zoo.value, values()); sendZoo(); });
    }
    const name = view.origin ? view.origin[0] : "";
    zoo.value = name;
    if (name && (name !== zooName || !Object.keys(sliders).length)) build(view, name, view.origin[1]);
    if (name) for (const [word, value] of Object.entries(view.origin[1])) {
      const input = sliders[word];
      if (!input || input === document.activeElement) continue;
      if (input.type === "checkbox") input.checked = value; else { input.value = value; input.dispatchEvent(new Event("shown")); }
    }
  }
  function build(view, name, values) {
    zooName = name;
    sliders = {};
    arguments_.replaceChildren(...view.zoo[name].map((p) => {
      const start = values[p.name] ?? p.start, output = make("output", {}, String(start));
      let input;
      if (p.choices.length) {
        input = make("select", { onchange: sendZoo }, ...p.choices.map((word) => make("option", { value: word }, word)));
        input.value = start;
      } else if (typeof p.start === "boolean") {
        input = make("input", { type: "checkbox", onchange: sendZoo });
        input.checked = start;
      } else {
        input = make("input", { type: "range", min: p.low, max: p.high, step: p.step, value: start, oninput: () => { output.textContent = input.value; sendZoo(); } });
        input.addEventListener("shown", () => { output.textContent = input.value; });
      }
      sliders[p.name] = input;
      return make("label", {}, `${p.name} `, input, input.type === "range" ? output : "");
    }));
  }
  function showKnown(view) {
    const key = JSON.stringify([view.known, view.frames]);
    if (key === shownKnown) return;
    shownKnown = key;
    known.replaceChildren(...Array.from({ length: view.frames }, (_, f) => {
      const here = view.known.find((k) => (k.at + view.frames) % view.frames === f);
      const place = make("div", { class: here ? "ps-cell ps-held" : "ps-cell", title: here ? here.name : `drop a picture or clip on frame ${f}` }, here ? "●" : "");
      place.addEventListener("dragover", (e) => e.preventDefault());
      place.addEventListener("drop", (e) => { e.preventDefault(); e.stopPropagation(); if (e.dataTransfer.files[0]) drop(e.dataTransfer.files[0], f); });
      return place;
    }));
    list.replaceChildren(make("div", { class: "ps-hint" }, `known frames: ${view.task.replaceAll("_", " ")}`), ...view.known.map((k, index) => {
      const first = Array.isArray(k.noise) ? k.noise.join(", ") : k.noise;
      const noise = make("input", { type: "number", min: 0, max: 1, step: 0.05, value: Array.isArray(k.noise) ? k.noise[0] : k.noise, title: `level kept: ${first}`, "aria-label": `level of ${k.name}`, onchange: () => send({ do: "level", index, noise: +noise.value }) });
      const mode = make("select", { "aria-label": `policy of ${k.name}`, onchange: () => send({ do: "policy", index, mode: mode.value }) }, ...view.modes.map((m) => make("option", { value: m }, m)));
      mode.value = k.mode;
      return make("div", { class: "ps-bar" }, `${k.name} at ${k.at}: level `, noise, mode, button("✕", "Remove", () => send({ do: "forget", index }), { "aria-label": `remove ${k.name}` }));
    }));
  }
  function show() {
    const view = model.get("view");
    if (!view || !view.matrix) return;
    asked = 0;
    showZoo(view);
    if (view.heard.page === page) heard = view.heard.number;
    grid.show(view, heard);
    showKnown(view);
    undo.disabled = !view.can.undo;
    redo.disabled = !view.can.redo;
    const f = view.facts, order = f.order.map((g) => g.join("+")).join(", ");
    facts.textContent = `${f.rows} rows, ${f.calls} denoiser calls${f.seconds === null ? "" : `, about ${f.seconds.toFixed(1)} s`}. Frames finish: ${order || (view.faults.length ? "fix the faults first" : "all are clean from the start")}.`;
    faults.replaceChildren(...(view.faults.length ? [] : ["no faults"]), ...view.faults.slice(0, 20).map((fault) =>
      make("div", { class: "ps-fault", role: "listitem" }, fault.what, button("Fix", `Fix: ${fault.fix}`, () => send({ do: "fix", row: fault.row, frame: fault.frame })), make("small", {}, fault.fix))));
    line.textContent = view.line;
    line.title = view.line.slice(0, 400);
    if (!assets.options.length) assets.append(...view.assets.map((name) => make("option", { value: name }, name)), make("option", { value: "file" }, "a file …"));
    for (const [input, name] of [[prompt, "prompt"], [seed, "seed"], [guidance, "guidance"]]) if (document.activeElement !== input) input.value = view.settings[name];
    run.disabled = pin.disabled = !view.model || view.running;
    compare.disabled = !view.model || view.running || !view.pinned;
    cancel.disabled = !view.running;
    status.textContent = view.status;
    error.textContent = view.error;
  }
  function showLanes() {
    const lanes = model.get("lanes") || {};
    strips.B.box.hidden = !lanes.B;
    for (const name of ["A", "B"]) if (lanes[name]) strips[name].show({ ...lanes[name] });
  }
  // While a run is on its way single rows come as messages; the whole is in the model, so a reload shows it.
  const live = {};
  const hear = (message) => {
    asked = 0;
    if (message.row === undefined) return;
    const now = (live[message.lane] = message.row === 0 || !live[message.lane] ? { ...message.about, sheets: message.about.schedule.map(() => "") } : live[message.lane]);
    Object.assign(now, { scores: message.about.scores, clip: message.about.clip });
    if (message.sheet) now.sheets[message.row] = message.sheet;
    strips[message.lane].box.hidden = false;
    strips[message.lane].show(now, message.row);
  };
  const watch = setInterval(() => {
    if (asked && Date.now() - asked > 8000) error.textContent = SILENT;
    else if (!asked && model.get("view")?.running) send({ do: "settings" }); // is it still there?
  }, 1000);
  const gone = () => { if (model.comm_live === false) error.textContent = SILENT; };
  model.on("change:view", show);
  model.on("change:lanes", showLanes);
  model.on("msg:custom", hear);
  model.on("comm_live_update", gone);
  show();
  showLanes();
  return () => { clearInterval(watch); model.off("change:view", show); model.off("change:lanes", showLanes); model.off("msg:custom", hear); model.off("comm_live_update", gone); };
}

export default { render: (context) => (context.model.get("kind") === "player" ? player(context) : studio(context)) };
// The page in site/ draws and edits with the same canvas, and a kernel in JavaScript.
export { TOOLS, canvasOf, colour, make, matrix, strokes };
