// SPDX-License-Identifier: Apache-2.0

//go:build protobuf2
// +build protobuf2

package main

import "google.golang.org/protobuf/runtime/protoimpl"

// wrap gives a message the form this ttrpc takes: since 1.2 that of the second
// protobuf interface.
func wrap(m legacyMessage) interface{} { return protoimpl.X.ProtoMessageV2Of(m) }
