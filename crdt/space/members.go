package space

import (
	"errors"

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
	errs := append([]error{err}, s.retryWaiting()...)
	s.docs.trim()
	return errors.Join(errs...)
}
