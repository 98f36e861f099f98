// Where one writes: the message, one's name, another room.
import { byId } from "./dom.js";

const AGAIN = 3000; // ms after which "typing" is said again
const IDLE = 4000;

/** store keeps what is written and not sent, by room: a reload does not take it. */
export function composer(chat, session, store) {
  const form = byId("composer");
  const text = byId("text");
  const button = byId("send");
  let saidAt = null; // when "typing" was last said, null while it is not
  let idle = 0;
  let room = chat.me.room;
  const draft = () => `samedoor.draft ${room}`;
  text.value = store.get(draft()) ?? "";

  function typing(on) {
    clearTimeout(idle);
    if (on) idle = setTimeout(() => typing(false), IDLE);
    const now = performance.now();
    if (on ? saidAt !== null && now - saidAt < AGAIN : saidAt === null) return;
    saidAt = on ? now : null;
    chat.typing(on);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words || text.disabled) return;
    chat.say(words);
    text.value = "";
    store.set(draft(), "");
    typing(false);
    text.focus();
  });
  chat.addEventListener("room", ({ detail: { renamed } }) => {
    room = chat.me.room;
    if (!renamed) text.value = store.get(draft()) ?? "";
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  text.addEventListener("input", () => {
    store.set(draft(), text.value);
    typing(text.value.trim() !== "");
  });
  text.addEventListener("blur", () => typing(false));

  session.addEventListener("change", () => {
    const on = session.state.wanted;
    if (text.disabled !== on) return;
    text.disabled = button.disabled = !on;
    if (on) byId("chat").classList.remove("unmet");
    text.placeholder = on ? "Say something" : "Connect to talk";
  });
}

/** The name is this tab's while it lasts, and the browser's next tab begins with it: two tabs may be two people. */
export function nameForm(chat, ...stores) {
  const form = byId("who");
  const input = byId("name");
  input.value = chat.me.name;
  const apply = () => {
    const name = input.value.trim();
    if (name === chat.me.name) return;
    for (const store of stores) store.set("samedoor.name", name);
    chat.rename(name);
  };
  input.addEventListener("change", apply);
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  chat.addEventListener("welcome", () => { input.placeholder = chat.name; });
}

export function roomForm(chat) {
  const form = byId("rooms");
  const input = byId("goto");
  const show = () => { byId("room").textContent = chat.me.room; };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const room = input.value.trim().replace(/^#/, "");
    if (room) location.hash = encodeURIComponent(room);
    input.value = "";
  });
  addEventListener("hashchange", () => {
    const room = roomInUrl();
    if (room === chat.me.room) return;
    chat.move(room);
  });
  chat.addEventListener("room", show);
  show();
}

/** `/page#room`; without one, the lobby. */
export function roomInUrl() {
  const raw = location.hash.slice(1);
  try { return decodeURIComponent(raw) || "lobby"; } catch { return raw; }
}
