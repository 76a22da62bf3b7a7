// Package converter says of every format that it cannot be converted: what converts needs all of Alloy's components.
package converter

import "github.com/grafana/alloy/internal/converter/diag"

// Input is the name of a format to convert from.
type Input string

// SupportedFormats are the formats that can be converted.
var SupportedFormats []string

// Convert returns nothing but the reason why.
func Convert([]byte, Input, []string) ([]byte, diag.Diagnostics) {
	var found diag.Diagnostics
	found.Add(diag.SeverityLevelCritical, "this build of Alloy converts no other formats")
	return nil, found
}
