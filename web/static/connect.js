// The one button.
import { byId, say } from "./dom.js";

export function connectButton(session) {
  const button = byId("connect");
  button.addEventListener("click", () => (session.state.wanted ? session.disconnect() : session.connect()));
  session.addEventListener("change", () => {
    say(button, session.state.wanted ? "Disconnect" : "Connect");
    button.classList.toggle("primary", !session.state.wanted);
  });
}
