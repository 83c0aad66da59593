package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// call makes one call by what the server tells of itself: messages of JSON come from the
// standard input, answers go to the standard output, one a line.
func call(address, service, method string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	found, err := described(ctx, connection, service)
	if err != nil {
		return fmt.Errorf("reflection: %w", err)
	}
	called := found.Methods().ByName(protoreflect.Name(method))
	if called == nil {
		return fmt.Errorf("%s has no method %s", service, method)
	}
	shape := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	var options []grpc.CallOption
	if os.Getenv("GRPC_PEER_GZIP") != "" {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	stream, err := connection.NewStream(ctx, shape, "/"+service+"/"+method, options...)
	if err != nil {
		return err
	}
	reader := json.NewDecoder(os.Stdin)
	for {
		var text json.RawMessage
		if err := reader.Decode(&text); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		message := dynamicpb.NewMessage(called.Input())
		if err := protojson.Unmarshal(text, message); err != nil {
			return err
		}
		if err := stream.SendMsg(message); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		message := dynamicpb.NewMessage(called.Output())
		if err := stream.RecvMsg(message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		text, err := protojson.Marshal(message)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	}
}

// described asks for a service's descriptors.
func described(
	ctx context.Context, connection *grpc.ClientConn, service string,
) (protoreflect.ServiceDescriptor, error) {
	stream, err := reflectionv1.NewServerReflectionClient(connection).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	question := &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	}
	if err := stream.Send(question); err != nil {
		return nil, err
	}
	told, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if wrong := told.GetErrorResponse(); wrong != nil {
		return nil, errors.New(wrong.GetErrorMessage())
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, bytes := range told.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(bytes, file); err != nil {
			return nil, err
		}
		set.File = append(set.File, file)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, err
	}
	described, is := found.(protoreflect.ServiceDescriptor)
	if !is {
		return nil, fmt.Errorf("%s isn't a service", service)
	}
	return described, stream.CloseSend()
}
