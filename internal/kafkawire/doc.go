// Package kafkawire is what consumers/kafka and producers/kafka share: one
// connection pool (kafka-go's Transport with TLS and SASL), raw requests in
// versions that the library does not speak (through protocol.RawExchanger),
// record batches, and Kafka's error codes. Sources: the Kafka protocol guide
// and the KIPs named at each request.
package kafkawire
