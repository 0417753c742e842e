package space

import (
	"errors"
	"slices"

	"github.com/echofs/echofs/identity/credential"
)

// credentialsCame draws the conclusions of credentials that are stored and
// count now. The caller holds write.
func (s *Space) credentialsCame(fresh []credential.Signed) error {
	for _, c := range fresh {
		s.wait.came(want{cred: c.ID})
	}
	err := s.openEpochs()
	s.noteAccess()
	err = errors.Join(err, trouble(s.retryWaiting()))
	s.docs.trim()
	return err
}

// trouble leaves out what says that an entry of others was refused: that is in
// the log, and nobody's fault who brought something else.
func trouble(errs []error) error {
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.As(err, new(*Refused)) })...)
}
