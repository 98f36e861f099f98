// Puts the parts together. Each knows the session, the trace or the chat it shows, and no other part.
import { Chat } from "./chat.js";
import { Cluster } from "./cluster.js";
import { composer, nameForm, roomForm, roomInUrl } from "./composer.js";
import { connectButton } from "./connect.js";
import { byId, keeper, uuid } from "./dom.js";
import { showDoors } from "./doors.js";
import { showFacts } from "./facts.js";
import { Fate, showFate } from "./fate.js";
import { measureLatency } from "./latency.js";
import { showLog } from "./log.js";
import { showNotice } from "./notice.js";
import { showPeople, showTyping } from "./people.js";
import { Recorder } from "./record.js";
import { Session } from "./session.js";
import { Street } from "./street.js";
import { showTimeline } from "./timeline.js";
import { tooltips } from "./tip.js";
import { Trace } from "./trace.js";
import { showVerdict } from "./verdict.js";
import { showWorkers } from "./workers.js";

const { url, workers, workerPort, demoToken } = document.body.dataset;
const page = { url, workers: Number(workers), workerPort: Number(workerPort) };

const browser = keeper("localStorage"); // what the next tab begins with
const tab = keeper("sessionStorage"); // what is this tab's: two of them may be two people
const client = tab.get("samedoor.client") ?? uuid();
tab.set("samedoor.client", client);

const name = tab.get("samedoor.name") ?? browser.get("samedoor.name") ?? "";
const chat = new Chat({ name, room: roomInUrl(), client }, tab);
const looked = () => byId("requests").open && !document.hidden; // a folded timeline records and asks nothing
const recorder = new Recorder(looked);
const session = new Session({ url: page.url, auth: chat.auth, transports: recorder.transports });
recorder.follow(session);
const trace = new Trace(session, looked);
recorder.addEventListener("request", () => trace.nudge());
const street = new Street(page.workers);
const cluster = new Cluster({ ...page, token: demoToken, looked: () => byId("workers").open });
const fate = new Fate(session, chat, cluster);
byId("requests").addEventListener("toggle", () => trace.refresh());

tooltips();
connectButton(session);
showVerdict(session, trace, cluster);
showFacts(session);
measureLatency(session);
showTimeline(session, trace, street, recorder); // before the doors: it decides which session is on show
showDoors(session, trace, street, cluster);
showWorkers(cluster, fate, browser);
showFate(fate);

chat.attach(session);
showLog(chat, session, fate);
showPeople(chat);
showTyping(chat, session);
showNotice(chat, session);
composer(chat, session, tab);
nameForm(chat, tab, browser);
roomForm(chat);

// The URL's fragment is the room's, so the skip link moves the focus itself.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("chat").focus();
});
