// Package kafka is where items come from Kafka: a consumer group member with
// its own fetch loop over internal/kafkawire. README.md beside this file has the
// journey of a record, the states of a partition and the file map.
package kafka
