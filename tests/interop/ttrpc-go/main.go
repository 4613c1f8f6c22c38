// SPDX-License-Identifier: Apache-2.0

// Calls a server of the control socket with containerd's own ttrpc client and
// prints the results as TAP.
//
// usage: ttrpc-go SOCKET
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type legacyMessage interface {
	Reset()
	String() string
	ProtoMessage()
}

var client *ttrpc.Client

func call(service, method string, req, resp legacyMessage) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return client.Call(ctx, "nexus.control.v1."+service, method, wrap(req), wrap(resp))
}

func wantCode(err error, code codes.Code, message string) error {
	s, ok := status.FromError(err)
	if !ok || s.Code() != code {
		return fmt.Errorf("want %v, got %v", code, err)
	}
	if !strings.Contains(s.Message(), message) {
		return fmt.Errorf("message %q does not say %q", s.Message(), message)
	}
	return nil
}

func versionGet() error {
	var v versionGetResponse
	if err := call("Version", "Get", &empty{}, &v); err != nil {
		return err
	}
	if v.Version != "1.2.3-test" || v.Abi != 4 || v.Format != 5 {
		return fmt.Errorf("got %v", &v)
	}
	return nil
}

func zonesListEmpty() error {
	var list zonesListResponse
	if err := call("Zones", "List", &empty{}, &list); err != nil {
		return err
	}
	if len(list.Zones) != 0 {
		return fmt.Errorf("got %v", &list)
	}
	return nil
}

func zonesCreate() error {
	var r zoneResponse
	req := &zoneRequest{Name: "größe", Store: "s3://bucket/prefix",
		Options: map[string]string{"region": "eu", "endpoint": "e"}}
	if err := call("Zones", "Create", req, &r); err != nil {
		return err
	}
	if r.Zone == nil || r.Zone.Name != "größe" || r.Zone.State != 1 ||
		r.Zone.Store != "s3://bucket/prefix" || r.Zone.LsnTail != 1<<40 {
		return fmt.Errorf("got %v", &r)
	}
	return wantCode(call("Zones", "Create", req, &r), codes.AlreadyExists, "größe exists")
}

func zonesList() error {
	var list zonesListResponse
	if err := call("Zones", "List", &empty{}, &list); err != nil {
		return err
	}
	if len(list.Zones) != 1 || list.Zones[0].Name != "größe" {
		return fmt.Errorf("got %v", &list)
	}
	return nil
}

func statsGet() error {
	var s statsGetResponse
	if err := call("Stats", "Get", &empty{}, &s); err != nil {
		return err
	}
	if len(s.Stats) != 3 || s.Stats[0].Labels[0].Name != "queue" ||
		s.Stats[1].Value != 18446744073709551615 || s.Stats[2].Type != 2 {
		return fmt.Errorf("got %v", &s)
	}
	return nil
}

func errorsHaveCodes() error {
	err := call("Zones", "Info", &zoneRequest{Name: "nope"}, &zoneResponse{})
	if err := wantCode(err, codes.NotFound, "there is no zone nope"); err != nil {
		return err
	}
	err = call("Zones", "Destroy", &empty{}, &empty{})
	return wantCode(err, codes.Unimplemented, "unknown method")
}

func largeRequest() error {
	req := &zoneRequest{Name: strings.Repeat("x", 1<<20)}
	err := call("Zones", "Info", req, &zoneResponse{})
	return wantCode(err, codes.InvalidArgument, "bytes")
}

func concurrent() error {
	errs := make(chan error, 64)
	var wg sync.WaitGroup
	for i := 0; i < 64; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; n < 20; n++ {
				if err := versionGet(); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: ttrpc-go SOCKET")
		os.Exit(2)
	}
	conn, err := net.Dial("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client = ttrpc.NewClient(conn)
	defer client.Close()

	tests := []struct {
		name string
		run  func() error
	}{
		{"Version.Get", versionGet},
		{"Zones.List of none", zonesListEmpty},
		{"Zones.Create", zonesCreate},
		{"Zones.List", zonesList},
		{"Stats.Get", statsGet},
		{"errors have codes", errorsHaveCodes},
		{"a large request", largeRequest},
		{"concurrent calls on one connection", concurrent},
	}
	failed := 0
	fmt.Printf("1..%d\n", len(tests))
	for i, t := range tests {
		if err := t.run(); err != nil {
			fmt.Printf("not ok %d - %s # %v\n", i+1, t.name, err)
			failed++
		} else {
			fmt.Printf("ok %d - %s\n", i+1, t.name)
		}
	}
	if failed != 0 {
		os.Exit(1)
	}
}
