// The few DOM helpers the parts share. Text always goes in as text: nothing here takes HTML.

/** h("li", {class: "x", hidden: true, "data-step": "open", onclick: f}, "text", node, null) */
export function h(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  el.append(...children.filter((child) => child !== null && child !== undefined));
  return el;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const el = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
  el.append(...children);
  return el;
}

export const LIMIT = 10_000; // ms for an answer of the server: one that hangs must not end the asking

export const byId = (id) => document.getElementById(id);
export const byTest = (name) => document.querySelector(`[data-testid="${name}"]`);

/** Sets text only where it differs, so that nothing is announced or repainted twice. */
export function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** A number stays with its worker at the end of a line. */
export const tied = (text) => text.replace(/(workers?) (?=\d)/g, "$1\u00a0");

/** Storage that may be missing or full: then what is kept lasts as long as the page. */
export function keeper(name) {
  const fallback = new Map();
  const area = () => globalThis[name];
  return {
    get(key) {
      try { return area().getItem(key) ?? fallback.get(key) ?? null; } catch { return fallback.get(key) ?? null; }
    },
    set(key, value) {
      fallback.set(key, value);
      try { area().setItem(key, value); } catch { /* kept in memory */ }
    },
  };
}

/** crypto.randomUUID exists in secure contexts only, and plain http over a network is none. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Puts text on the clipboard and tells whether it is there. Its API exists in secure contexts only, like the above. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const area = h("textarea", { class: "vh", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus({ preventScroll: true });
    return copied;
  }
}

/** Calls f every `ms` while the page is visible, and once at each return to it. Returns a function that stops it. */
export function whileVisible(ms, f) {
  let timer = 0;
  const tick = () => { clearInterval(timer); timer = document.hidden ? 0 : setInterval(f, ms); };
  const onChange = () => { tick(); if (!document.hidden) f(); };
  document.addEventListener("visibilitychange", onChange);
  tick();
  return () => { clearInterval(timer); document.removeEventListener("visibilitychange", onChange); };
}

const APART = 100; // ms: ten times a second is as often as anybody can follow, and every frame costs

const due = new Set();
let frame = 0;
let timer = 0;
let last = -APART;

function flush() {
  cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = timer = 0;
  last = performance.now();
  const now = [...due];
  due.clear();
  for (const f of now) f();
}

/** Returns a function after whose call f runs in one of the next frames: once, however often it is called. A hidden page has no frames, and waits for a timer. */
export function eachFrame(f) {
  return () => {
    due.add(f);
    if (timer) return;
    const rest = Math.max(0, last + APART - performance.now());
    const inFrame = () => { frame = requestAnimationFrame(flush); timer = setTimeout(flush, 250); };
    if (rest) timer = setTimeout(inFrame, rest);
    else inFrame();
  };
}

/** Makes els the children of parent: those that are there stay, and only what differs is moved. */
export function arrange(parent, els) {
  els.forEach((el, i) => { if (parent.children[i] !== el) parent.insertBefore(el, parent.children[i] ?? null); });
  while (parent.children.length > els.length) parent.lastElementChild.remove();
}

/** count(1, "message") → "1 message" */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
