package nginx

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// relays carry what nginx has sent to a slot before it learned that the slot is
// not live: to another, whose worker knows what to do with strangers. Without
// them nginx would wait, and answer 502.
type relays struct {
	s    *nginx
	turn atomic.Uint32
	sync.WaitGroup
}

func (r *relays) relay(ctx context.Context, fd int) {
	f := os.NewFile(uintptr(fd), "from nginx")
	from, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return
	}
	r.Go(func() {
		defer from.Close()
		live, _ := r.s.Live()
		if len(live) == 0 {
			return
		}
		slot := live[int(r.turn.Add(1)-1)%len(live)]
		to, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", r.s.WorkerPort+slot))
		if err != nil {
			return
		}
		defer to.Close()
		defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
		var answered sync.WaitGroup
		answered.Go(func() {
			_, _ = io.Copy(from, to)
			_ = from.(*net.TCPConn).CloseWrite()
		})
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
		answered.Wait()
	})
}
