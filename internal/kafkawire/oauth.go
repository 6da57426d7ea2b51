package kafkawire

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
)

// OAuthConfig is the client-credentials grant (RFC 6749, 4.4): the client's id
// and secret buy a token at the endpoint, and the token is what the broker sees.
// The secret is given directly or in a file, which is read for each token. Scope
// may be empty. CAFile is a PEM bundle for the endpoint; "" is the system's.
type OAuthConfig struct {
	TokenEndpointURL, ClientID, ClientSecretFile, Scope, CAFile string
	ClientSecret                                                Secret
}

const (
	mechanismOAuth = "oauthbearer"
	// maxTokenAnswer of the endpoint; tokens with many claims have some KiB.
	maxTokenAnswer = 256 << 10
	// tokenTimeout is below dialTimeout, within which a login must be over.
	tokenTimeout = 4 * time.Second
	// renewShare of a token's life has passed when the next one is asked for; as
	// Java's sasl.login.refresh.window.factor.
	renewShare = 0.8
)

// tokens is SASL OAUTHBEARER with one token for all connections. Safe for
// concurrent use: one caller asks the endpoint, the others wait for it.
type tokens struct {
	cfg  OAuthConfig
	http *http.Client
	log  *slog.Logger

	turn           chan struct{} // capacity 1: guards what follows
	token          string
	renew, expires time.Time
}

var _ sasl.Mechanism = (*tokens)(nil)

func (o OAuthConfig) mechanism(log *slog.Logger) (*tokens, error) {
	endpoint, err := url.Parse(o.TokenEndpointURL)
	if err != nil || (endpoint.Scheme != "https" && endpoint.Scheme != "http") || endpoint.Host == "" || endpoint.User != nil {
		return nil, errors.New("SASL oauthbearer needs the URL of a token endpoint, https://host/path without user and password")
	}
	if o.ClientID == "" {
		return nil, errors.New("SASL oauthbearer needs a client id")
	}
	if _, err := o.secret(); err != nil {
		return nil, err
	}
	authorities, err := certPool(o.CAFile, " of the token endpoint")
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, // one request in minutes or hours
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities},
	}
	return &tokens{cfg: o, log: log, turn: make(chan struct{}, 1), http: &http.Client{
		Transport: transport, Timeout: tokenTimeout,
		// The credentials are for this endpoint alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (o OAuthConfig) secret() (string, error) {
	return secretOf("client secret of SASL oauthbearer", o.ClientSecret, o.ClientSecretFile)
}

// Name implements sasl.Mechanism.
func (t *tokens) Name() string { return "OAUTHBEARER" }

// Start implements sasl.Mechanism: RFC 7628, 3.1.
func (t *tokens) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	token, err := t.latest(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &bearer{tokens: t, token: token}, []byte("n,,\x01auth=Bearer " + token + "\x01\x01"), nil
}

// bearer is one login.
type bearer struct {
	tokens *tokens
	token  string
}

// Next takes the broker's answer: empty is success, else it says what is wrong
// and waits for a byte before it refuses (RFC 7628, 3.2.3).
func (b *bearer) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	if len(challenge) == 0 {
		return true, nil, nil
	}
	b.tokens.forget(ctx, b.token)
	return false, []byte{1}, nil
}

// latest is the token, renewed in good time. While the endpoint fails the one
// at hand serves until it expires.
func (t *tokens) latest(ctx context.Context) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := time.Now()
	if t.token != "" && now.Before(t.renew) {
		return t.token, nil
	}
	token, life, err := t.fetch(ctx)
	if err != nil {
		if t.token != "" && now.Before(t.expires) {
			t.log.Warn("the token cannot be renewed, the one at hand is used until it expires", "expires", t.expires, "error", err)
			return t.token, nil
		}
		return "", err
	}
	t.token, t.renew, t.expires = token, now.Add(time.Duration(float64(life)*renewShare)), now.Add(life)
	return token, nil
}

// forget drops a token that a broker refused: it may have been revoked.
func (t *tokens) forget(ctx context.Context, token string) {
	select {
	case t.turn <- struct{}{}:
		if t.token == token {
			t.token = ""
		}
		<-t.turn
	case <-ctx.Done():
	}
}

// fetch asks the endpoint. life is 0 when it does not say: the token then serves
// one login. No error holds the secret or the token.
func (t *tokens) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	secret, err := t.cfg.secret()
	if err != nil {
		return "", 0, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.cfg.Scope != "" {
		form.Set("scope", t.cfg.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.cfg.TokenEndpointURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, fmt.Errorf("ask for a token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(t.cfg.ClientID), url.QueryEscape(secret)) // RFC 6749, 2.3.1
	resp, err := t.http.Do(req)
	if err != nil {
		return "", 0, fmt.Errorf("ask for a token: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it is needed
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err != nil {
		return "", 0, fmt.Errorf("read the token of %s: %w", req.URL.Redacted(), err)
	}
	var answer struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"`
		Error       string      `json:"error"`
	}
	parsed := json.Unmarshal(body, &answer) == nil
	switch {
	case resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return "", 0, fmt.Errorf("the token endpoint %s refuses the client: status %d, error %.60q: %w", req.URL.Redacted(), resp.StatusCode, answer.Error, ErrSASLAuthentication)
	case resp.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("the token endpoint %s answers with status %d", req.URL.Redacted(), resp.StatusCode)
	case !parsed || answer.AccessToken == "" || !strings.EqualFold(answer.TokenType, "bearer") || !tokenCharacters(answer.AccessToken):
		return "", 0, fmt.Errorf("the token endpoint %s answers without a bearer token in JSON (RFC 6749, 5.1)", req.URL.Redacted())
	}
	seconds, err := answer.ExpiresIn.Int64()
	if err != nil || seconds < 0 || seconds > maxTokenLife {
		seconds = 0
	}
	return answer.AccessToken, time.Duration(seconds) * time.Second, nil
}

// maxTokenLife in seconds: ten years, far below an overflow.
const maxTokenLife = 10 * 365 * 24 * 3600

// tokenCharacters are those of RFC 6750; others could end the SASL message.
func tokenCharacters(token string) bool {
	return strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=") == ""
}
