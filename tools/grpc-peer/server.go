package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
)

// service answers as the interoperability tests of gRPC want it.
type service struct {
	pb.UnimplementedTestServiceServer
	calls atomic.Int64
}

func serve(args []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pb.RegisterTestServiceServer(server, &service{})
	switch {
	case len(args) == 0:
		reflection.Register(server)
	case args[0] == "v1alpha":
		options := reflection.ServerOptions{Services: server}
		grpc_reflection_v1alpha.RegisterServerReflectionServer(server, reflection.NewServer(options))
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

func answer(echo *pb.EchoStatus) error {
	if echo.GetCode() == 0 {
		return nil
	}
	return status.Error(codes.Code(echo.GetCode()), echo.GetMessage())
}

// UnaryCall gives the payload back. `username` counts the calls, `hostname` is the deadline
// and what came as metadata x-test.
func (s *service) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	calls := s.calls.Add(1)
	if err := answer(in.GetResponseStatus()); err != nil {
		return nil, err
	}
	payload := in.GetPayload()
	if size := in.GetResponseSize(); size > 0 {
		payload = &pb.Payload{Body: make([]byte, size)}
	}
	left := "none"
	if deadline, has := ctx.Deadline(); has {
		left = time.Until(deadline).Round(time.Minute).String()
	}
	given, _ := metadata.FromIncomingContext(ctx)
	return &pb.SimpleResponse{
		Payload:  payload,
		Username: fmt.Sprint(calls),
		Hostname: fmt.Sprintf("deadline=%s x-test=%v", left, given.Get("x-test")),
	}, nil
}

func (s *service) StreamingOutputCall(
	in *pb.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[pb.StreamingOutputCallResponse],
) error {
	for _, one := range in.GetResponseParameters() {
		time.Sleep(time.Duration(one.GetIntervalUs()) * time.Microsecond)
		out := &pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, one.GetSize())}}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
	return answer(in.GetResponseStatus())
}

func (s *service) StreamingInputCall(
	stream grpc.ClientStreamingServer[pb.StreamingInputCallRequest, pb.StreamingInputCallResponse],
) error {
	size := 0
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(in.GetPayload().GetBody())
	}
}

func (s *service) FullDuplexCall(
	stream grpc.BidiStreamingServer[pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse],
) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := answer(in.GetResponseStatus()); err != nil {
			return err
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}
