// Puts the parts together. Each knows the session, the trace or the chat it shows, and no other part.
import { Chat } from "./chat.js";
import { composer, nameForm, roomForm, roomInUrl } from "./composer.js";
import { connectButton } from "./connect.js";
import { byId, keeper, uuid } from "./dom.js";
import { showDoors } from "./doors.js";
import { showFacts } from "./facts.js";
import { measureLatency } from "./latency.js";
import { showLog } from "./log.js";
import { showPeople, showTyping } from "./people.js";
import { Recorder } from "./record.js";
import { Session } from "./session.js";
import { Street } from "./street.js";
import { showTimeline } from "./timeline.js";
import { tooltips } from "./tip.js";
import { Trace } from "./trace.js";
import { showVerdict } from "./verdict.js";

const { url, workers, workerPort } = document.body.dataset;
const page = { url, workers: Number(workers), workerPort: Number(workerPort) };

const browser = keeper("localStorage"); // the name: this person's
const tab = keeper("sessionStorage"); // the client key: this tab's, so that two tabs are two people
const client = tab.get("samedoor.client") ?? uuid();
tab.set("samedoor.client", client);

const chat = new Chat({ name: browser.get("samedoor.name") ?? "", room: roomInUrl(), client });
const looked = () => byId("requests").open && !document.hidden; // a folded timeline records and asks nothing
const recorder = new Recorder(looked);
const session = new Session({ url: page.url, auth: chat.auth, transports: recorder.transports });
recorder.follow(session);
const trace = new Trace(session, looked);
recorder.addEventListener("request", () => trace.nudge());
const street = new Street(page.workers);
byId("requests").addEventListener("toggle", () => trace.refresh());

tooltips();
connectButton(session);
showVerdict(session, trace, page);
showFacts(session);
measureLatency(session);
showTimeline(session, trace, street, recorder); // before the doors: it decides which session is on show
showDoors(session, trace, street, page);

chat.attach(session);
showLog(chat);
showPeople(chat, session);
showTyping(chat, session);
composer(chat, session);
nameForm(chat, browser);
roomForm(chat);

// The URL's fragment is the room's, so the skip link moves the focus itself.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("chat").focus();
});
