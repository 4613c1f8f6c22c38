// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// The messages of proto/nexus/control/v1 this test needs, written down by hand
// from the .proto files: what the server speaks is checked against the
// definition and not against code made by the server's own generator.

type empty struct{}

func (m *empty) Reset()         { *m = empty{} }
func (m *empty) String() string { return "" }
func (*empty) ProtoMessage()    {}

type versionGetResponse struct {
	Version       string `protobuf:"bytes,1,opt,name=version,proto3"`
	ModuleVersion string `protobuf:"bytes,2,opt,name=module_version,json=moduleVersion,proto3"`
	Abi           uint32 `protobuf:"varint,3,opt,name=abi,proto3"`
	Format        uint32 `protobuf:"varint,4,opt,name=format,proto3"`
}

func (m *versionGetResponse) Reset()         { *m = versionGetResponse{} }
func (m *versionGetResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*versionGetResponse) ProtoMessage()    {}

type zone struct {
	Name          string `protobuf:"bytes,1,opt,name=name,proto3"`
	Uuid          string `protobuf:"bytes,2,opt,name=uuid,proto3"`
	State         int32  `protobuf:"varint,3,opt,name=state,proto3"`
	Reason        string `protobuf:"bytes,4,opt,name=reason,proto3"`
	Store         string `protobuf:"bytes,5,opt,name=store,proto3"`
	DataDir       string `protobuf:"bytes,6,opt,name=data_dir,json=dataDir,proto3"`
	FormatVersion uint32 `protobuf:"varint,7,opt,name=format_version,json=formatVersion,proto3"`
	LsnTail       uint64 `protobuf:"varint,11,opt,name=lsn_tail,json=lsnTail,proto3"`
	Packs         uint64 `protobuf:"varint,18,opt,name=packs,proto3"`
}

func (m *zone) Reset()         { *m = zone{} }
func (m *zone) String() string { return fmt.Sprintf("%+v", *m) }
func (*zone) ProtoMessage()    {}

type zoneRequest struct {
	Name    string            `protobuf:"bytes,1,opt,name=name,proto3"`
	Store   string            `protobuf:"bytes,2,opt,name=store,proto3"`
	Options map[string]string `protobuf:"bytes,3,rep,name=options,proto3" protobuf_key:"bytes,1,opt,name=key,proto3" protobuf_val:"bytes,2,opt,name=value,proto3"`
}

func (m *zoneRequest) Reset()         { *m = zoneRequest{} }
func (m *zoneRequest) String() string { return fmt.Sprintf("%+v", *m) }
func (*zoneRequest) ProtoMessage()    {}

type zoneResponse struct {
	Zone *zone `protobuf:"bytes,1,opt,name=zone,proto3"`
}

func (m *zoneResponse) Reset()         { *m = zoneResponse{} }
func (m *zoneResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*zoneResponse) ProtoMessage()    {}

type zonesListResponse struct {
	Zones []*zone `protobuf:"bytes,1,rep,name=zones,proto3"`
}

func (m *zonesListResponse) Reset()         { *m = zonesListResponse{} }
func (m *zonesListResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*zonesListResponse) ProtoMessage()    {}

type label struct {
	Name  string `protobuf:"bytes,1,opt,name=name,proto3"`
	Value string `protobuf:"bytes,2,opt,name=value,proto3"`
}

func (m *label) Reset()         { *m = label{} }
func (m *label) String() string { return fmt.Sprintf("%+v", *m) }
func (*label) ProtoMessage()    {}

type stat struct {
	Name   string   `protobuf:"bytes,1,opt,name=name,proto3"`
	Help   string   `protobuf:"bytes,2,opt,name=help,proto3"`
	Type   int32    `protobuf:"varint,3,opt,name=type,proto3"`
	Labels []*label `protobuf:"bytes,4,rep,name=labels,proto3"`
	Value  uint64   `protobuf:"varint,5,opt,name=value,proto3"`
}

func (m *stat) Reset()         { *m = stat{} }
func (m *stat) String() string { return fmt.Sprintf("%+v", *m) }
func (*stat) ProtoMessage()    {}

type statsGetResponse struct {
	Stats []*stat `protobuf:"bytes,1,rep,name=stats,proto3"`
}

func (m *statsGetResponse) Reset()         { *m = statsGetResponse{} }
func (m *statsGetResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*statsGetResponse) ProtoMessage()    {}
