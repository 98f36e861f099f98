package e2e

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/playwright-community/playwright-go"

	"github.com/samedoor/samedoor/internal/bus/bustest"
	"github.com/samedoor/samedoor/internal/clustertest"
)

const soon = 5 * time.Second

// chat lets two people on two workers talk as if there were one.
func chat(t *testing.T, c *clustertest.Cluster) {
	const markup = `<b onclick="x()">Bob`
	ann, bob := apart(t, c, "Ann", markup)

	// Both are listed, each with the worker they came through.
	for _, v := range []*visitor{ann, bob} {
		members := v.GetByTestId("members").Locator("li")
		v.must(v.expect(members, soon).ToHaveCount(2))
		for name, slot := range map[string]int{"Ann": ann.slot(), markup: bob.slot()} {
			one := members.Filter(playwright.LocatorFilterOptions{HasText: name})
			v.must(v.expect(one.Locator(".tag"), soon).ToHaveText("worker " + strconv.Itoa(slot)))
		}
	}

	// They hear one another, and see who is about to say something.
	ann.say("Good morning")
	bob.sees(soon, "Good morning")
	field := bob.GetByLabel("Message", playwright.PageGetByLabelOptions{Exact: playwright.Bool(true)})
	bob.must(field.PressSequentially("Good"))
	ann.must(ann.expect(ann.GetByText(markup+" is typing…"), soon).ToBeVisible())
	bob.must(field.Press("Enter"))
	ann.must(ann.expect(ann.GetByText("is typing…"), soon).ToBeHidden())

	// What they say is text, and so is what they are called.
	const attack = `<img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`
	bob.say(attack)
	for _, v := range []*visitor{ann, bob} {
		v.sees(soon, attack)
		v.must(v.expect(v.GetByTestId("messages").Locator("img, script, b"), soon).ToHaveCount(0))
		v.must(v.expect(v.GetByTestId("members").Locator("b"), soon).ToHaveCount(0))
		if title, err := v.Title(); err != nil || title == "hacked" {
			t.Errorf("title %q, %v", title, err)
		}
	}

	// Both have it in the same order, under the right names.
	want := []message{{Name: "Ann", Text: "Good morning"}, {Name: markup, Text: "Good"}, {Name: markup, Text: attack}}
	var order []string
	for _, v := range []*visitor{ann, bob} {
		got := v.messages()
		if len(got) != len(want) {
			t.Fatalf("%d messages, want %d: %v", len(got), len(want), got)
		}
		for i, m := range got {
			if m.Name != want[i].Name || m.Text != want[i].Text || m.State != "sent" {
				t.Errorf("message %d: %+v, want %+v", i, m, want[i])
			}
			if order = append(order, m.Offset); i < len(order)-1 && order[i] != m.Offset {
				t.Errorf("message %d has offset %s here and %s there", i, m.Offset, order[i])
			}
		}
	}
}

// The URL's fragment names the room.
func TestRooms(t *testing.T) {
	t.Parallel()
	c := start(t, "master")
	lobby, attic := visit(t, c, 1, "/page"), visit(t, c, 2, "/page#attic")
	for _, v := range []*visitor{lobby, attic} {
		v.connect()
	}
	lobby.say("said in the lobby")
	attic.say("said in the attic")
	for v, text := range map[*visitor]string{lobby: "said in the lobby", attic: "said in the attic"} {
		v.sees(soon, text)
		v.must(v.expect(v.GetByText("You are alone here"), soon).ToBeVisible())
		if got := v.messages(); len(got) != 1 {
			t.Errorf("the room shows %v", got)
		}
	}
	// Moving there, without connecting anew, shows what was said before.
	_, err := lobby.Evaluate(`() => { location.hash = "attic"; }`)
	lobby.must(err)
	lobby.sees(soon, "said in the attic")
	attic.must(attic.expect(attic.GetByTestId("members").Locator("li"), soon).ToHaveCount(2))
	lobby.must(lobby.expect(lobby.GetByTestId("messages"), soon).Not().ToContainText("lobby"))
}

// A message that could not be stored says so, and is sent when asked again.
func TestRetry(t *testing.T) {
	t.Parallel()
	bus := bustest.NewLine(t, bustest.StartRedis(t).Addr)
	c := start(t, "redis", "--redis", bus.Through(""))
	ann, bob := apart(t, c, "Ann", "Bob")
	ann.say("before")
	bob.sees(soon, "before")

	bus.Cut()
	ann.say("meanwhile")
	failed := ann.GetByTestId("messages").Locator(`[data-state="failed"]`)
	ann.must(ann.expect(failed, 10*time.Second).ToContainText("meanwhile"))
	ann.must(ann.expect(failed, soon).ToContainText("Not sent"))
	if transport := ann.text("transport"); transport != "websocket" {
		t.Errorf("without the bus the session is %s", transport)
	}

	bus.Mend()
	clustertest.Until(t, 15*time.Second, "the message is stored, asked again", func() bool {
		if retry := failed.GetByRole("button"); ann.has(retry) {
			_ = retry.Click(playwright.LocatorClickOptions{Timeout: playwright.Float(500)}) // it may have gone by itself
		}
		return ann.messages()[1].State == "sent"
	})
	ann.say("after")
	for _, v := range []*visitor{ann, bob} {
		v.sees(soon, "after")
		var texts []string
		for _, m := range v.messages() {
			texts = append(texts, m.Text)
		}
		if want := []string{"before", "meanwhile", "after"}; !slices.Equal(texts, want) {
			t.Errorf("the conversation is %q, want %q", texts, want)
		}
	}
}
