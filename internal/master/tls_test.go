package master

import (
	"bytes"
	"crypto/x509"
	"slices"
	"testing"
)

func TestRotate(t *testing.T) {
	var keys [][]byte
	for i := range 7 {
		before := slices.Clone(keys)
		keys = rotate(keys)
		if len(keys) != min(i+1, ticketKeys) || len(keys[0]) != 32 {
			t.Fatalf("%d keys, the first of %d bytes", len(keys), len(keys[0]))
		}
		for j, k := range keys[1:] {
			if !bytes.Equal(k, before[j]) {
				t.Errorf("key %d changed its place", j)
			}
		}
		if i > 0 && bytes.Equal(keys[0], keys[1]) {
			t.Error("the new key is the old one")
		}
	}
}

func TestIsOurs(t *testing.T) {
	ours, other := &x509.Certificate{Raw: []byte("a")}, &x509.Certificate{Raw: []byte("b")}
	if isOurs([]*x509.Certificate{ours}, ours) != nil {
		t.Error("ours is refused")
	}
	if isOurs([]*x509.Certificate{other, ours}, ours) == nil || isOurs(nil, ours) == nil {
		t.Error("another's is taken")
	}
}
