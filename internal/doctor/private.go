package doctor

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// secrets are what must not stand in a report, though a server may say it:
// what was handed over, and the sids that it gave.
type secrets struct {
	words []string // each way they may be written, the longest first
	sids  []string
}

// newSecrets collects what was handed over.
func newSecrets(o Options) *secrets {
	s := &secrets{}
	for name, values := range o.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Origin", "Referer", "User-Agent", "Accept", "Accept-Language", "X-Forwarded-Host", "X-Forwarded-Proto":
			continue // to hide them would hide the address and half of the report's words
		}
		for _, v := range values {
			s.add(v)
			for _, part := range strings.Fields(v) { // Bearer TOKEN; name=value; name=value
				part = strings.Trim(part, ";,")
				if _, value, ok := strings.Cut(part, "="); ok && http.CanonicalHeaderKey(name) == "Cookie" {
					part = value
				}
				if part != "Bearer" && part != "Basic" {
					s.add(part)
				}
			}
		}
	}
	var auth any
	if json.Unmarshal(o.Auth, &auth) == nil {
		s.strings(auth)
	}
	raw := strings.TrimSpace(o.URL)
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	if u, err := url.Parse(raw); err == nil {
		if u.User != nil {
			pw, _ := u.User.Password()
			s.add(u.User.Username())
			s.add(pw)
		}
		s.add(u.Fragment)
		for k, vs := range u.Query() {
			if slices.Contains(own, k) && k != "sid" {
				continue
			}
			for _, v := range vs {
				s.add(v)
			}
		}
	}
	return s
}

func (s *secrets) strings(v any) {
	switch v := v.(type) {
	case string:
		s.add(v)
	case []any:
		for _, v := range v {
			s.strings(v)
		}
	case map[string]any:
		for _, v := range v {
			s.strings(v)
		}
	}
}

// add keeps a secret as it is, and as it is written in URLs, JSON and excerpts.
func (s *secrets) add(word string) {
	if len(word) < 2 || len(word) < 4 && strings.Trim(word, "0123456789") == "" {
		return // no more secret than a count of something
	}
	quoted, _ := json.Marshal(word)
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(word)
	for _, form := range []string{word, url.QueryEscape(word), url.PathEscape(word),
		strings.Trim(string(quoted), `"`), strings.Trim(strings.TrimSpace(plain.String()), `"`), strings.Join(strings.Fields(word), " "), printable(word)} {
		if form != "" && !slices.Contains(s.words, form) {
			s.words = append(s.words, form)
		}
	}
	slices.SortFunc(s.words, func(a, b string) int { return len(b) - len(a) })
}

// sidIn finds sids, of sessions and of namespaces, in JSON and in JSON within it.
var sidIn = regexp.MustCompile(`\\*"sid\\*"\s*:\s*\\*"([^"\\]{5,})`)

// learn keeps the sids in an answer.
func (s *secrets) learn(body string) {
	for _, m := range sidIn.FindAllStringSubmatch(body, -1) {
		if !slices.Contains(s.sids, m[1]) {
			s.sids = append(s.sids, m[1])
			if q := url.QueryEscape(m[1]); q != m[1] {
				s.sids = append(s.sids, q)
			}
		}
	}
}

// hide replaces what is secret, and what an excerpt has left of it.
func (s *secrets) hide(text string) string {
	if text == "" {
		return text
	}
	for _, sid := range s.sids {
		text = strings.ReplaceAll(text, sid, short(sid))
		text = beheaded(text, sid, 5, short(sid))
	}
	for _, w := range s.words {
		if len(w) < 4 {
			text = replaceWord(text, w)
			continue
		}
		text = strings.ReplaceAll(text, w, "…")
		text = beheaded(text, w, 4, "…")
	}
	return text
}

// beheaded replaces a beginning of the word, of at least least bytes, that
// stands where an excerpt ends.
func beheaded(text, word string, least int, by string) string {
	for at := 0; ; {
		i := strings.Index(text[at:], "…")
		if i < 0 {
			return text
		}
		i += at
		at = i + len("…")
		for n := min(len(word)-1, i); n >= least; n-- {
			if strings.HasSuffix(text[:i], word[:n]) {
				text = text[:i-n] + by + text[at:]
				at = i - n + len(by)
				break
			}
		}
	}
}

// replaceWord replaces a short secret where it stands alone.
func replaceWord(text, word string) string {
	letter := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	var b strings.Builder
	before := ' '
	for text != "" {
		if strings.HasPrefix(text, word) && !letter(before) {
			if next, _ := utf8.DecodeRuneInString(text[len(word):]); len(text) == len(word) || !letter(next) {
				b.WriteString("…")
				text, before = text[len(word):], '…'
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(text)
		b.WriteString(text[:n])
		text, before = text[n:], r
	}
	return b.String()
}

// hush hides what is secret in a finding.
func (e *exam) hush(f *Finding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.Title, f.Cause = e.secrets.hide(f.Title), e.secrets.hide(f.Cause)
	for i := range f.Evidence {
		f.Evidence[i] = e.secrets.hide(f.Evidence[i])
	}
	for i := range f.Notes {
		f.Notes[i] = e.secrets.hide(f.Notes[i])
	}
	if f.Fix != nil {
		f.Fix.Text = e.secrets.hide(f.Fix.Text)
	}
}

func (e *exam) learn(body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets.learn(body)
}
