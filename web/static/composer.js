// Where one writes: the message, one's name, another room.
import { byId } from "./dom.js";

const AGAIN = 3000; // ms after which "typing" is said again
const IDLE = 4000;

export function composer(chat, session) {
  const form = byId("composer");
  const text = byId("text");
  const button = byId("send");
  let saidAt = null; // when "typing" was last said, null while it is not
  let idle = 0;

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
    typing(false);
    text.focus();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  text.addEventListener("input", () => typing(text.value.trim() !== ""));
  text.addEventListener("blur", () => typing(false));

  session.addEventListener("change", () => {
    const on = session.state.wanted;
    if (text.disabled !== on) return;
    text.disabled = button.disabled = !on;
    text.placeholder = on ? "Say something" : "Connect to talk";
  });
}

export function nameForm(chat, store) {
  const form = byId("who");
  const input = byId("name");
  input.value = chat.me.name;
  const apply = () => {
    const name = input.value.trim();
    if (name === chat.me.name) return;
    store.set("samedoor.name", name);
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
    show();
  });
  show();
}

/** `/page#room`; without one, the lobby. */
export function roomInUrl() {
  const raw = location.hash.slice(1);
  try { return decodeURIComponent(raw) || "lobby"; } catch { return raw; }
}
