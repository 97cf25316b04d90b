package secure

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/secure.json")

const vectorsFile = "testdata/secure.json"

// vectors is one connection from its first byte to its last, for clients in every language. Byte
// strings are hex.
type vectors struct {
	About     string            `json:"about"`
	Password  passwordVector    `json:"password"`
	Handshake handshakeVector   `json:"handshake"`
	Plain     map[string]string `json:"plain"` // the messages of the same handshake without encryption
	Records   []recordVector    `json:"records"`
	NewKeys   newKeysVector     `json:"new_keys"`
}

type passwordVector struct {
	Text string `json:"text"` // not in NFC
	LogN uint8  `json:"log_n"`
	Salt string `json:"salt"`
	PRS  string `json:"prs"`
}

type handshakeVector struct {
	ClientNonce  string `json:"client_nonce"`
	ClientScalar string `json:"client_scalar"`
	ServerNonce  string `json:"server_nonce"`
	ServerScalar string `json:"server_scalar"`

	Hello       string `json:"hello"`
	Greeting    string `json:"greeting"`
	ClientShare string `json:"client_share"`
	ServerShare string `json:"server_share"`
	ClientFin   string `json:"client_fin"`
	ServerFin   string `json:"server_fin"`

	CI           string `json:"ci"`
	SID          string `json:"sid"`
	Generator    string `json:"generator"`
	Transcript   string `json:"transcript_hash"`
	ClientStream string `json:"client_stream_secret"`
	ServerStream string `json:"server_stream_secret"`
}

type recordVector struct {
	From  string `json:"from"`
	Plain string `json:"plain"` // "": the end of the stream
	Wire  string `json:"wire"`
}

// newKeysVector is a stream whose keys are good for two records only.
type newKeysVector struct {
	Secret     string   `json:"secret"`
	MaxRecords uint64   `json:"max_records"`
	Plain      []string `json:"plain"`
	Wire       []string `json:"wire"`
}

func makeVectors(t *testing.T) vectors {
	t.Helper()
	x := hex.EncodeToString
	v := vectors{
		About: "PROTOCOL.md, \"Opening a connection\" and \"Records\". Byte strings are hex. The messages are whole, with type and length.",
		Plain: map[string]string{},
	}
	kdf := KDF{
		LogN: MinLogN,
		Salt: [16]byte{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf},
	}
	const password = "pa\u0308ssword"
	prs, err := kdf.Key(password)
	if err != nil {
		t.Fatal(err)
	}
	v.Password = passwordVector{password, kdf.LogN, x(kdf.Salt[:]), x(prs)}
	var cf, sf Ephemeral
	for i := range 32 {
		cf.Nonce[i], cf.Scalar[i], sf.Nonce[i], sf.Scalar[i] = byte(i), byte(0x20+i), byte(0x40+i), byte(0x60+i)
	}
	limits := Limits{MaxFrameBytes: 64 << 20, MaxValueBytes: 32 << 20, IdleSeconds: 900}
	connect := func(encrypt bool) (*Client, *Server, [][]byte) {
		client := NewClient(ClientConfig{Key: func(KDF) ([]byte, error) { return prs, nil }, Encrypt: encrypt}, cf)
		server := NewServer(&ServerConfig{Key: prs, KDF: kdf, Limits: limits, Encrypt: encrypt}, sf)
		var messages [][]byte
		if err := run(client, server, 1000, func(_ int, b []byte) []byte {
			messages = append(messages, bytes.Clone(b))
			return b
		}); err != nil {
			t.Fatal(err)
		}
		return client, server, messages
	}
	client, server, m := connect(true)
	sid := sessionID(&cf.Nonce, &sf.Nonce)
	v.Handshake = handshakeVector{
		ClientNonce: x(
			cf.Nonce[:],
		),
		ClientScalar: x(cf.Scalar[:]),
		ServerNonce:  x(sf.Nonce[:]),
		ServerScalar: x(sf.Scalar[:]),
		Hello: x(
			m[0],
		),
		Greeting:    x(m[1]),
		ClientShare: x(m[2]),
		ServerShare: x(m[3]),
		ClientFin:   x(m[4]),
		ServerFin:   x(m[5]),
		CI: x(
			channel,
		),
		SID:          x(sid),
		Generator:    x(cpaceGenerator(prs, channel, sid)),
		Transcript:   x(server.transcript.Sum(nil)),
		ClientStream: x(client.keys.clientStream),
		ServerStream: x(server.keys.serverStream),
	}
	toServer, _ := client.Records()
	toClient, _ := server.Records()
	for _, r := range []struct {
		from, plain string
		sealer      *Sealer
	}{
		{"client", "\x06\x00\x00\x00\x01\x00\x00\x00\x01\x00", toServer},
		{"client", "a record of more than one block of the cipher, and of no whole number of them", toServer},
		{"server", "\x06\x00\x00\x00\x01\x00\x00\x00\x00\x00", toClient},
		{"server", "", toClient},
		{"client", "", toServer},
	} {
		var wire []byte
		if r.plain == "" {
			wire, err = r.sealer.End(nil)
		} else {
			wire, err = r.sealer.Seal(nil, []byte(r.plain))
		}
		if err != nil {
			t.Fatal(err)
		}
		v.Records = append(v.Records, recordVector{r.from, x([]byte(r.plain)), x(wire)})
	}
	_, _, m = connect(false)
	for i, name := range []string{"hello", "greeting", "client_share", "server_share", "client_fin", "server_fin"} {
		v.Plain[name] = x(m[i])
	}
	v.NewKeys = newKeysVector{Secret: x(keyOf(7)), MaxRecords: 2}
	s := newSealer(keyOf(7))
	s.maxRecords = v.NewKeys.MaxRecords
	for _, text := range []string{"one", "two", "three", "four", "five"} {
		v.NewKeys.Plain = append(v.NewKeys.Plain, x([]byte(text)))
		v.NewKeys.Wire = append(v.NewKeys.Wire, x(seal(t, s, []byte(text))))
	}
	return v
}

// TestVectors compares every byte of a connection with testdata/secure.json, which clients in other
// languages read too. An independent implementation checks the file: see reference_test.go.
func TestVectors(t *testing.T) {
	got, err := json.MarshalIndent(makeVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(vectorsFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("what is sent is not what %s says; run with -update if that is right", vectorsFile)
	}
}
