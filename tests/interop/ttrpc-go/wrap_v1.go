// SPDX-License-Identifier: Apache-2.0

//go:build !protobuf2
// +build !protobuf2

package main

// wrap gives a message the form this ttrpc takes: until 1.1 as it is.
func wrap(m legacyMessage) interface{} { return m }
