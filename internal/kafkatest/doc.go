// Package kafkatest gives tests a broker: a real Apache Kafka, whose address the
// environment names (`make test` starts one for the whole run, see
// deploy/kafka/broker.sh), or kfake in the test's own process. Only tests and the
// demo import it.
package kafkatest
