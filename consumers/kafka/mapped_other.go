//go:build !linux

package kafka

func mapMemory(int) []byte { return nil }

func unmapMemory([]byte) {}
