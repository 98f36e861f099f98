package kernel_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/samedoor/samedoor/strategies"
)

// steps are clusters that follow one another on one address: they grow, shrink
// and lose slots.
var steps = []struct {
	n       int
	missing []int
}{{1, nil}, {2, nil}, {4, nil}, {4, []int{1}}, {5, []int{0, 3}}, {5, nil}, {32, nil}, {32, []int{31, 7}}, {3, nil}, {6, nil}}

const each = 300 // sources a step

// compare asks the kernel and Go for the slot of each source.
func compare(t *testing.T, addr string, source func(r *rand.Rand) netip.Addr) {
	t.Helper()
	random := rand.New(rand.NewPCG(4, 2))
	r := newRig(t, addr, 1)
	for _, step := range steps {
		r.resize(step.n, step.missing...)
		wrong, reached := 0, map[int]bool{}
		for range each {
			from := source(random)
			got, err := r.choice(from)
			if err != nil {
				t.Fatal(err)
			}
			reached[got] = true
			if want := strategies.Slot(from, r.live); got != want {
				if wrong++; wrong <= 3 {
					t.Errorf("%d slots without %v: the kernel sends %v to %d, Slot says %d", step.n, step.missing, from, got, want)
				}
			}
		}
		if wrong > 0 || len(reached) != len(r.live) {
			t.Errorf("%d slots without %v: %d of %d wrong, %d slots reached", step.n, step.missing, wrong, each, len(reached))
		}
	}
}

func anyIPv4(r *rand.Rand) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 127<<24|r.Uint32()>>8&^0xff|1+r.Uint32N(250))
	return netip.AddrFrom4(b)
}

func anyIPv6(r *rand.Rand) netip.Addr {
	var b [16]byte
	for i := 0; i < 16; i += 4 {
		binary.BigEndian.PutUint32(b[i:], r.Uint32())
	}
	b[0] = 0x20 | b[0]&0x0f // 2000::/4, which is routed here
	return netip.AddrFrom16(b)
}

func TestChoiceIPv4(t *testing.T) { compare(t, "127.0.0.1:0", anyIPv4) }

func TestChoiceMapped(t *testing.T) {
	r := newRig(t, "[::]:0", 1)
	if !r.addr.Addr().Is6() {
		t.Skip("this machine has no IPv6")
	}
	compare(t, "[::]:0", anyIPv4)
}

func TestChoiceIPv6(t *testing.T) {
	ownNetwork(t)
	compare(t, "[::]:0", anyIPv6)
	compare(t, "[::1]:0", anyIPv6)
}

// A client's /64 is one client.
func TestChoiceOfOneNetwork(t *testing.T) {
	ownNetwork(t)
	r := newRig(t, "[::]:0", 4)
	random := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		from := anyIPv6(random)
		b := from.As16()
		b[15]++
		one, err1 := r.choice(from)
		other, err2 := r.choice(netip.AddrFrom16(b))
		if err1 != nil || err2 != nil || one != other {
			t.Fatalf("%v: slots %d and %d, %v %v", from, one, other, err1, err2)
		}
	}
}

// TestUnprivileged: nobody can run it.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // to the end of the test, and of the thread with it
		const nobody = 65534
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); e != 0 { // of this thread alone
			t.Fatal(e)
		}
	}
	r := newRig(t, "127.0.0.1:0", 4)
	r.resize(5, 2)
	for i := range 50 {
		from := netip.AddrFrom4([4]byte{127, 0, 1, byte(i)})
		if got, err := r.choice(from); err != nil || got != strategies.Slot(from, r.live) {
			t.Fatalf("%v: %d, %v", from, got, err)
		}
	}
}

// ownNetwork puts the rest of the test into a network of its own, where every
// address of 2000::/4 is this machine's. Subtests would not be in it.
func ownNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err == unix.EPERM && os.Geteuid() != 0 {
		t.Skip("only root can make the network with many IPv6 addresses that this needs")
	} else if err != nil {
		t.Fatalf("make a network of the test's own (it needs CAP_SYS_ADMIN): %v", err)
	}
	if err := setUp(); err != nil {
		t.Fatal(err)
	}
}

// setUp is `ip link set lo up` and `ip -6 route add local 2000::/4 dev lo`.
func setUp() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	const loIndex = 1 // of every network
	e := binary.NativeEndian
	route := []byte{unix.AF_INET6, 4, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_LOCAL, 0, 0, 0, 0}
	route = e.AppendUint16(route, 4+16)
	route = e.AppendUint16(route, unix.RTA_DST)
	route = append(route, slices.Concat([]byte{0x20}, make([]byte, 15))...)
	route = e.AppendUint16(route, 4+4)
	route = e.AppendUint16(route, unix.RTA_OIF)
	route = e.AppendUint32(route, loIndex)
	msg := e.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(route)))
	msg = e.AppendUint16(msg, unix.RTM_NEWROUTE)
	msg = e.AppendUint16(msg, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	msg = append(msg, make([]byte, 8)...) // sequence, port
	if err := unix.Sendto(fd, append(msg, route...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	ack := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, ack, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("answer of %d bytes: %v", n, err)
	}
	if code := int32(e.Uint32(ack[unix.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("route: %w", syscall.Errno(-code))
	}
	return nil
}
