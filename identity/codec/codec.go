// Package codec is the one encoding of everything that is signed, hashed, sent
// or stored as a structure: deterministic CBOR (RFC 8949 §4.2.1).
//
// A value has exactly one encoding and every other one is refused, so bytes
// that decode always encode back to themselves and a hash of them names the
// value. Structs use integer keys (`cbor:"1,keyasint"`) or positions
// (`cbor:",toarray"`). A type that wants optional fields marks them omitempty,
// or omitzero where it is an array: a field present with its empty value is
// then refused, as it has to be. Go's nil and empty are one value: an empty
// list, string or map. Only an absent pointer is null.
//
// # Limits
//
// Depth 8, 4096 elements in an array or map. The size of the whole is the
// caller's to limit before it calls.
//
// # Concurrency
//
// Every function may be called from any goroutine.
package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

const (
	// MaxDepth is how deep arrays and maps may be nested.
	MaxDepth = 8
	// MaxElements is how many elements an array, or pairs a map, may have.
	MaxElements = 4096
)

// ErrNotCanonical reports bytes that are CBOR but not the one encoding of
// their value that this package allows.
var ErrNotCanonical = errors.New("not the canonical encoding")

// A Raw is an encoded value inside another one, decoded later or not at all.
type Raw = cbor.RawMessage

// Marshal returns the canonical encoding of v.
func Marshal(v any) ([]byte, error) {
	data, err := encoding.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	return data, nil
}

// Unmarshal decodes data, which must be one canonical value with no unknown
// fields, into v, which must point to a zero value.
func Unmarshal(data []byte, v any) error {
	if err := Check(data); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	if err := strict.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	// The check above knows the encoding; only the type knows that a byte
	// string was too long for its array or an optional field should be absent.
	again, err := encoding.Marshal(v)
	if err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("decoding %T: %w", v, ErrNotCanonical)
	}
	return nil
}

// Peek decodes the fields of data that v has and ignores others. It is for the
// head of a structure whose version is not known yet; data must be canonical
// all the same.
func Peek(data []byte, v any) error {
	if err := Check(data); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	if err := lenient.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decoding %T: %w", v, err)
	}
	return nil
}

var (
	encoding = newEncoding()
	strict   = newDecoding(cbor.ExtraDecErrorUnknownField)
	lenient  = newDecoding(cbor.ExtraDecErrorNone)
)

func newEncoding() cbor.EncMode {
	opts := cbor.CoreDetEncOptions()
	opts.TagsMd = cbor.TagsForbidden
	opts.NilContainers = cbor.NilContainerAsEmpty // else nil and empty would be told apart
	mode, err := opts.EncMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

func newDecoding(extra cbor.ExtraDecErrorCond) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxDepth,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxElements,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: extra,
		UTF8:              cbor.UTF8RejectInvalid,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
	}.DecMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}
