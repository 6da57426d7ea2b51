package config

import (
	"fmt"
	"slices"
	"strings"
)

// applyProperties turns kafka.properties, the names that Java and librdkafka
// use, into keys. The table is in property_table.go.
func (l *loader) applyProperties() {
	names := make([]string, 0, len(l.cfg.Kafka.Properties))
	for name := range l.cfg.Kafka.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	setBy := map[string]string{} // key -> property
	for _, name := range names {
		l.applyProperty(name, l.cfg.Kafka.Properties[name], setBy)
	}
	if err := checkProtocol(l.cfg); err != nil {
		l.problem(l.where("kafka.properties.security.protocol"), "kafka.properties.security.protocol", err.Error())
	}
	maskProperties(l.cfg.Kafka.Properties)
}

func (l *loader) applyProperty(name, value string, setBy map[string]string) {
	full := "kafka.properties." + name
	at := l.where(full)
	p, ok := properties[name]
	if !ok {
		text := fmt.Sprintf("unknown property %q, ignored", name)
		if near := Nearest(name, propertyNames()); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		l.warn(at, full, "%s", text)
		return
	}
	if p.meaningless != "" {
		l.warn(at, full, "has no meaning here: %s", p.meaningless)
		return
	}
	for _, path := range p.keys {
		if _, native := l.origin[path]; native {
			l.problem(at, full, fmt.Sprintf("%s is set too (%s); keep one of them", path, l.where(path)))
			return
		}
		if other, twice := setBy[path]; twice && other != name && !p.shared {
			l.problem(at, full, fmt.Sprintf("sets %s, and so does %s; keep one of them", path, other))
			return
		}
	}
	if err := p.apply(l.cfg, strings.TrimSpace(value)); err != nil {
		l.problem(at, full, err.Error())
		return
	}
	for _, path := range p.keys {
		setBy[path] = name
	}
}

func propertyNames() []string {
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
