package wrpc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALibraryOfAnotherVersionIsRefused(t *testing.T) {
	require.NoError(t, abiVersion(2, 2))
	err := abiVersion(2, 3)
	require.ErrorContains(t, err, "version 2")
	require.ErrorContains(t, err, "version 3")
	require.ErrorContains(t, err, "make k6")
	_, err = openBridge()
	require.NoError(t, err, "the library that is linked here")
}
