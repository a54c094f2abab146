// A stand-in for the kubelet, as far as port-forwards go: the handler is the kubelet's own, and every pod is this machine.
//
//	kubelet --listen 127.0.0.1:10250 --cert node.crt --key node.key
//
// A forward to port P of any pod dials 127.0.0.1:P. It serves until it is killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
)

const (
	idle     = 4 * time.Hour
	creation = 30 * time.Second
)

type machine struct{}

// PortForward copies between a stream and a port of this machine until either side ends.
func (machine) PortForward(ctx context.Context, pod string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("failed to connect to port %d of %s: %w", port, pod, err)
	}
	defer connection.Close()
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(connection, stream)
		ended <- err
	}()
	go func() {
		_, err := io.Copy(stream, connection)
		ended <- err
	}()
	return <-ended
}

func serve(writer http.ResponseWriter, request *http.Request) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	if len(parts) != 3 || parts[0] != "portForward" {
		http.NotFound(writer, request)
		return
	}
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	pod := parts[1] + "/" + parts[2]
	portforward.ServePortForward(writer, request, machine{}, pod, "", options, idle, creation, portforward.SupportedProtocols)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:10250", "address to serve on")
	cert := flag.String("cert", "", "file of the certificate")
	key := flag.String("key", "", "file of its key")
	flag.Parse()
	http.HandleFunc("/portForward/", serve)
	http.HandleFunc("/healthz", func(writer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(writer, "ok") })
	log.Fatal(http.ListenAndServeTLS(*listen, *cert, *key, nil))
}
