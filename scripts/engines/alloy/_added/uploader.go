// Here Pyroscope's uploader has nothing to upload, since the profiler whose files it takes is not among the modules of the proxy.

package debuginfo

import (
	"context"

	"github.com/grafana/alloy/internal/component/pyroscope/write/debuginfoclient"
)

// UploadJob is what would be uploaded.
type UploadJob struct{}

type uploader struct{}

func (*Uploader) newUploader(UploadJob) (*uploader, error) { return &uploader{}, nil }

func (*uploader) upload(*debuginfoclient.Client, UploadJob) {}

func (*uploader) run(context.Context) error { return nil }
