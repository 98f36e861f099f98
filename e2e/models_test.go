package e2e

import "testing"

// The page's models by themselves, told what no server would tell on demand.
func TestModels(t *testing.T) {
	t.Parallel()
	c := start(t, "master", "--workers", "1")
	v := visit(t, c, 1, "/page#models")
	for _, tt := range []struct{ name, script, want string }{
		{"what overlaps is said once", `
			const { Chat } = await load("chat.js");
			const on = {};
			const chat = new Chat({ name: "Ann", room: "r", client: "c" }, { get: () => null, set() {} });
			chat.attach({ root: { on: (name, f) => { on[name] = f; } } });
			const told = [];
			chat.addEventListener("said", ({ detail }) => told.push(detail.map((m) => m.text).join("")));
			chat.addEventListener("welcome", ({ detail: { back, missed } }) => told.push(back + " " + missed));
			const m = (n) => ({ offset: n + "-0", id: "i" + n, name: "Bob", slot: 0, text: "m" + n, at: 1 });
			on.welcome({ room: "r", members: [], history: [m(1), m(2)] });
			on.chat(m(2)); on.chat(m(3));
			on.disconnect();
			on.welcome({ room: "r", members: [], history: [m(3), m(4)] });
			on.chat(m(4)); on.chat(m(5));
			chat.auth(({ offset }) => told.push(offset));
			return told.join(", ");`,
			"false 0, m1m2, m3, true 1, m4, m5, 5-0"},
		{"an older account of the cluster does not count", `
			const { Fate } = await load("fate.js");
			const [session, chat, cluster] = [new EventTarget(), new EventTarget(), new EventTarget()];
			let worker = { state: "ready", pid: 1 };
			Object.assign(session, { state: { phase: "joined", sid: "2.x", worker: 2, wanted: true, away: 640 } });
			Object.assign(chat, { slot: 2, waiting: () => [] });
			Object.assign(cluster, { askedAt: 0, of: () => worker, soon() {}, hurry() {} });
			const told = [];
			const fate = new Fate(session, chat, cluster);
			fate.addEventListener("told", ({ detail }) => told.push(detail.text));
			session.dispatchEvent(new Event("change"));
			fate.ordered("kill", 2);
			session.dispatchEvent(new CustomEvent("lost", { detail: {} }));
			await new Promise((done) => setTimeout(done, 20));
			chat.dispatchEvent(new CustomEvent("welcome", { detail: { back: true, gap: false } }));
			cluster.dispatchEvent(new Event("change"));
			told.push("told later");
			worker = { state: "ready", pid: 7 };
			cluster.askedAt = performance.now() + 1;
			cluster.dispatchEvent(new Event("change"));
			return told.join(" | ");`,
			"told later | Worker 2, which held your session, was killed. You reconnected to its successor after 640 ms; nothing was lost."},
		{"what was told is taken back once it is true no longer", `
			const { Fate } = await load("fate.js");
			const [session, chat, cluster] = [new EventTarget(), new EventTarget(), new EventTarget()];
			let worker = { state: "ready", pid: 1 };
			Object.assign(session, { state: { phase: "joined", sid: "2.x", worker: 2, wanted: true, away: 640 } });
			Object.assign(chat, { slot: 2, waiting: () => [] });
			Object.assign(cluster, { askedAt: 0, workers: [{}], of: () => worker, soon() {}, hurry() {} });
			const told = [];
			const fate = new Fate(session, chat, cluster);
			fate.addEventListener("told", ({ detail: { text, over } }) => told.push((over ? "over: " : "") + text));
			const lost = () => session.dispatchEvent(new CustomEvent("lost", { detail: {} }));
			const back = () => {
				chat.dispatchEvent(new CustomEvent("welcome", { detail: { back: true, gap: false } }));
				cluster.askedAt = performance.now() + 1;
				cluster.dispatchEvent(new Event("change"));
			};
			const joins = (sid) => { session.state.sid = sid; session.dispatchEvent(new Event("change")); };
			joins("2.x"); lost(); lost(); back(); // the first way back broke before it was joined
			joins("2.y"); lost();
			worker = undefined;
			chat.slot = 0;
			back();
			joins("0.z"); session.state.wanted = false; lost();
			return told.join(" | ");`,
			"The connection to worker 2 was lost. You reconnected to it after 640 ms; nothing was lost. | over: The connection to worker 2 was lost. | " +
				"Worker 2, which held your session, left the cluster. You reconnected to worker 0 after 640 ms; nothing was lost. | over: You disconnected."},
		{"what was lost is not called whole", `
			const { sentence } = await load("fate.js");
			return [
				sentence({ slot: 2, ended: "was killed", to: 0, after: 1500, gap: false, unsent: 2 }),
				sentence({ slot: 2, ended: "", to: 2, after: 80, gap: true, unsent: 0 }),
			].join(" | ");`,
			"Worker 2, which held your session, was killed. You reconnected to worker 0 after 1.5 s; 2 messages of yours still wait below. | " +
				"The connection to worker 2 was lost. You reconnected to it after 80 ms; some messages are not shown."},
	} {
		out, err := v.Evaluate(`async () => {
			const load = (name) => import(new URL(name, document.querySelector("script[type=module]").src));
			` + tt.script + ` }`)
		v.must(err)
		if out != tt.want {
			t.Errorf("%s:\ngot  %v\nwant %s", tt.name, out, tt.want)
		}
	}
}
