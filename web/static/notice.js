// What was said while nobody looked: in the title of a hidden tab, and on the button that leads to the chat where it is
// out of sight.
import { byId, eachFrame, say } from "./dom.js";

export function showNotice(chat, session) {
  const section = byId("chat");
  const button = byId("to-chat");
  const title = document.title;
  let unseen = 0;
  let inView = false;

  const render = eachFrame(() => {
    if (inView && !document.hidden) unseen = 0;
    say(button, unseen ? `Chat · ${unseen} new` : "Chat");
    button.toggleAttribute("data-new", unseen > 0);
    button.hidden = inView || !session.state.wanted;
    const now = unseen && document.hidden ? `(${unseen}) ${title}` : title;
    if (document.title !== now) document.title = now;
  });
  chat.addEventListener("said", ({ detail }) => {
    if (inView && !document.hidden) return;
    unseen += detail.filter((message) => !message.mine && !message.past).length;
    render();
  });
  session.addEventListener("change", render);
  document.addEventListener("visibilitychange", render);
  new IntersectionObserver((seen) => { inView = seen.at(-1).isIntersecting; render(); }, { rootMargin: "0px 0px -15%" }).observe(section);
  button.addEventListener("click", () => {
    section.focus({ preventScroll: true });
    section.scrollIntoView({ behavior: "smooth" });
  });
}
