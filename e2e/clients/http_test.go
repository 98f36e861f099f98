package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// from returns an HTTP client that opens each connection from an address, one
// a request.
func from(addr string) *http.Client {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
}

// open opens a session by polling and returns its sid and the slot that
// answered; where the server routes it asks that first.
func open(addr, url string, route bool) (sid, slot string, err error) {
	h := from(addr)
	if route {
		var to struct{ URL string }
		if err := getJSON(h, url+"/route", &to); err != nil {
			return "", "", err
		}
		url = to.URL
	}
	resp, err := h.Get(url + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	var hello struct{ SID string }
	if resp.StatusCode != http.StatusOK || json.Unmarshal([]byte(strings.TrimPrefix(string(b), "0")), &hello) != nil {
		return "", "", fmt.Errorf("%s: %.100s", resp.Status, b)
	}
	return hello.SID, resp.Header.Get("X-Samedoor-Worker"), nil
}

func getJSON(h *http.Client, url string, into any) error {
	resp, err := h.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// addr is the address of client i, as in door.mjs.
func addr(i int) string { return fmt.Sprintf("127.0.%d.%d", i+1, i+1) }
