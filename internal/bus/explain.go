package bus

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// errURL never quotes the URL: a password with an unescaped / or @ in it ends
// up in the host or the path, and so in net/url's message.
var errURL = errors.New("the Redis URL cannot be read: write redis://[user:password@]host:port/db, rediss://… for TLS, " +
	"or leave --redis away for the embedded bus (special characters in a password are written %40, %2F, …)")

// badURL tells what is known to hold no secret.
func badURL(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "redis: unexpected option: "); ok && !strings.ContainsAny(text, "@:/") {
		return fmt.Errorf("the Redis URL has an option that is not known: %s", text)
	}
	return errURL
}

// place is a URL without what is secret in it, for people to read.
func place(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "redis"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Explain turns an error of [Open] or of the first [Bus.Ping] into one line
// that says what to do next. It holds no password.
func Explain(rawURL string, err error) string {
	if errors.Is(err, errURL) {
		return err.Error()
	}
	at := place(rawURL)
	var dns *net.DNSError
	var network net.Error
	text := err.Error()
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	out := func(why, hint string) string { return fmt.Sprintf("%s is out of reach (%s): %s", at, why, hint) }
	switch {
	case has("NOAUTH", "WRONGPASS", "invalid password", "AUTH"):
		return fmt.Sprintf("%s wants another user or password: write redis://user:password@host:port", at)
	case has("NOPERM"):
		return fmt.Sprintf("%s refuses this user some commands: allow it ~{samedoor}:* with +@all, or name another user", at)
	case has("DB index is out of range", "invalid DB index"):
		return fmt.Sprintf("%s has no such database: write a lower number, or none, after the port", at)
	case errors.Is(err, syscall.ECONNREFUSED):
		return out("connection refused", "start Redis or leave --redis away for the embedded bus")
	case errors.Is(err, os.ErrNotExist):
		return out("no such socket", "start Redis or correct the path")
	case errors.Is(err, os.ErrPermission):
		return out("permission denied", "give this user access to the socket")
	case errors.As(err, &dns):
		return out("no such host", "correct the name in --redis")
	case has("x509:", "certificate"):
		return out("its certificate is not trusted", "name the host as its certificate does, or trust its issuer")
	case has("does not look like a TLS handshake"), strings.HasPrefix(at, "rediss:") && has("EOF", "connection reset"):
		return out("it does not speak TLS", "check host and port, or write redis:// instead of rediss://")
	case has("LOADING"):
		return out("it is still loading its data", "try again in a moment")
	case has("EOF", "connection reset", "invalid reply", "can't parse"):
		return out("it does not answer as Redis does", "check host and port, and rediss:// if it wants TLS")
	case errors.As(err, &network) && network.Timeout(), has("deadline exceeded", "i/o timeout"):
		return out("no answer", "check host, port and firewall, or leave --redis away for the embedded bus")
	}
	if u, e := url.Parse(rawURL); e == nil {
		if secret, ok := u.User.Password(); ok && secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	text = strings.Join(strings.Fields(strings.TrimPrefix(text, ErrGone.Error()+": ")), " ")
	return out(text, "check --redis")
}
