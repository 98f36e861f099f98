// One tooltip for the whole page: what has data-tip explains itself when it is hovered, focused or tapped, and so does
// all of the nearest [data-tip-area] around it. It stays while the pointer is on it, and Escape closes it (WCAG 1.4.13).
import { h } from "./dom.js";

const LINGER = 150; // ms in which the pointer may cross over to the tooltip
const MARGIN = 8; // px

export function tooltips() {
  const tip = h("div", { class: "tip", id: "tip", role: "tooltip", popover: "manual" });
  document.querySelector("main").append(tip);
  let of = null;
  let timer = 0;

  function show(el) {
    clearTimeout(timer);
    if (el === of) return;
    hide();
    of = el;
    tip.textContent = el.dataset.tip;
    el.setAttribute("aria-describedby", "tip");
    tip.showPopover?.();
    tip.classList.add("on");
    place(tip, el);
  }
  function hide() {
    clearTimeout(timer);
    if (!of) return;
    of.removeAttribute("aria-describedby");
    of = null;
    tip.classList.remove("on");
    if (tip.showPopover) tip.hidePopover();
  }
  const later = () => { clearTimeout(timer); timer = setTimeout(hide, LINGER); };

  document.addEventListener("pointerover", ({ target, pointerType }) => {
    if (pointerType === "touch") return; // a tap comes as a click
    const el = about(target);
    if (el) show(el);
    else if (tip.contains(target)) clearTimeout(timer);
    else if (of && of !== document.activeElement) later();
  });
  document.addEventListener("focusin", ({ target }) => {
    const el = target.closest("[data-tip]");
    if (el && target.matches(":focus-visible")) show(el);
    else if (!tip.contains(target)) hide();
  });
  document.addEventListener("focusout", later);
  document.addEventListener("click", ({ target }) => {
    const el = target.closest("[data-tip]");
    if (el?.classList.contains("term")) show(el); // a term does nothing else
    else if (!tip.contains(target)) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !of) return;
    event.stopPropagation(); // what else Escape closes stays open
    hide();
  }, true);
  addEventListener("scroll", () => {
    if (of && of === document.activeElement) place(tip, of);
    else hide();
  }, { passive: true, capture: true });
}

function about(target) {
  return target.closest?.("[data-tip]") ?? target.closest?.("[data-tip-area]")?.querySelector("[data-tip]") ?? null;
}

// Below what it explains, or above where there is no room, and never out of the window.
function place(tip, el) {
  const { left, top, bottom } = (el.closest("[data-tip-area]") ?? el).getBoundingClientRect(); // never on what it explains
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement;
  tip.style.left = `${Math.max(MARGIN, Math.min(left, room.clientWidth - width - MARGIN))}px`;
  tip.style.top = `${bottom + MARGIN + height > room.clientHeight && top > height + MARGIN ? top - height - MARGIN / 2 : bottom + MARGIN / 2}px`;
}
