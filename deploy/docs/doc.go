// Package docs holds pages for people, and the tests that keep them true.
package docs
