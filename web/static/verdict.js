// The sentence on top. It changes when there is something to say, and stays long enough to be read.
import { byId, say, tied } from "./dom.js";
import { verdict } from "./words.js";

const PATIENCE = 250; // ms: what is under way is only told where it takes longer than this,
const DOUBT = 600; // and what is half known only where no more comes
const ANNOUNCE = 4000; // ms between announcements, so that a failing client does not talk without end

export function showVerdict(session, trace, cluster) {
  const box = byId("verdict");
  const [title, detail] = box.children;
  const live = byId("announce");
  let timer = 0;
  let announcedAt = -ANNOUNCE;

  function announce() {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      announcedAt = performance.now();
      say(live, `${title.textContent} ${detail.textContent}`);
    }, Math.max(200, announcedAt + ANNOUNCE - performance.now()));
  }

  let busy = 0;
  let last = null; // the attempt the last failure speaks of: the next one has not broken yet
  function render() {
    const { state } = session;
    if (state.error?.sid) last = state.error.sid;
    const sid = state.wanted && state.error && state.phase !== "joined" ? last : state.sid;
    const now = verdict(state, trace.of(sid), { workers: cluster.workers.length, origin: session.origin });
    clearTimeout(busy);
    if (now.tentative) busy = setTimeout(show, DOUBT, now);
    else if (now.tone === "busy") busy = setTimeout(show, PATIENCE, now);
    else show(now);
  }
  function show(now) {
    box.dataset.tone = now.tone;
    say(title, tied(now.title));
    say(detail, tied(now.detail));
    announce();
  }
  session.addEventListener("change", render);
  trace.addEventListener("change", render);
  cluster.addEventListener("change", () => { if (!session.state.wanted) render(); }); // how many workers there are
  render();
}
