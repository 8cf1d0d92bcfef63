package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/benbjohnson/litestream"
	replica "github.com/benbjohnson/litestream/s3"
)

const (
	// leaseName is the object beside the replica's files that holds the record.
	leaseName = "tallycast-lease.json"
	// maxRecord bounds the size of the record that is read, in bytes. A record is shorter than
	// 200.
	maxRecord = 4096
	// The holder renews a lease renewals times within its duration. A holder that cannot renew
	// it stops after holdShare of holdShares of the duration.
	renewals, holdShare, holdShares = 3, 5, 6
	// checkInterval is how soon a container that was frozen notices it.
	checkInterval = 100 * time.Millisecond
)

// errConflict is the error if another container changed the record.
var errConflict = errors.New("another container changed the lease")

// record is the content of the lease object. Each write differs from the one before, so
// that the object gets another ETag.
type record struct {
	Holder   string `json:"holder"` // random, for each process
	Disk     string `json:"disk"`   // the disk that has the newest database
	Renewals int64  `json:"renewals"`
	Released bool   `json:"released"`
}

// lease is a lease on a replica. It uses conditional writes, and no clock but its own: a
// contender takes the lease over after it saw no renewal for the whole duration, and a
// holder stops before that. It is not safe for concurrent use.
type lease struct {
	// Fixed after newLease.
	client      *s3.Client
	bucket, key string
	duration    time.Duration
	holder      string
	file        string // its time tells tallycast serve until when it may acknowledge

	record    record    // as stored
	etag      string    // of the stored record
	confirmed time.Time // start of the last successful write
}

// newLease returns a lease on the replica at url, which is not acquired. Litestream
// reads the URL.
func newLease(ctx context.Context, url, file string, duration time.Duration) (*lease, error) {
	client, err := litestream.NewReplicaClientFromURL(url)
	r, isS3 := client.(*replica.ReplicaClient)
	if err != nil || !isS3 {
		return nil, errors.Join(err, errors.New("LITESTREAM_REPLICA_URL: the lease needs an object storage with conditional writes; give a URL that begins with s3://"))
	}
	region := r.Region
	if region == "" {
		region = replica.DefaultRegion
	}
	loading := []func(*config.LoadOptions) error{config.WithRegion(region)}
	if r.AccessKeyID != "" {
		loading = append(loading, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(r.AccessKeyID, r.SecretAccessKey, "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, loading...)
	if err != nil {
		return nil, fmt.Errorf("object storage: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	l := &lease{bucket: r.Bucket, key: r.Path + "/" + leaseName, duration: duration, holder: rand.Text(), file: file}
	l.client = s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = r.ForcePathStyle
		o.RetryMaxAttempts = 1 // a repeated conditional write would conflict with itself
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if r.Endpoint != "" {
			o.BaseEndpoint = &r.Endpoint
		}
		if litestream.IsTigrisEndpoint(r.Endpoint) { // evaluates conditions in the nearest region otherwise
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Tigris-Consistent", "true"))
		}
	})
	return l, nil
}

// acquire waits until no other container holds the lease, at most for wait, and acquires it.
func (l *lease) acquire(ctx context.Context, wait time.Duration) error {
	var seen string // ETag of another holder's record, unchanged since
	var since time.Time
	var waitedFor string // the holder in the log
	for began := time.Now(); ; {
		held, etag, err := l.read(ctx)
		if err == nil && etag != seen {
			seen, since = etag, time.Now()
			if held.Holder != waitedFor && !held.Released {
				slog.Info("entrypoint: waiting for the container that writes to this replica", "holder", held.Holder)
				waitedFor = held.Holder
			}
		}
		if err == nil && (etag == "" || held.Released || held.Holder == l.holder || time.Since(since) > l.duration) {
			if err = l.write(ctx, record{Holder: l.holder, Disk: held.Disk, Renewals: held.Renewals + 1}, etag); err == nil {
				return l.verify(ctx)
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if waited := time.Since(began); waited > wait && err != nil {
			return fmt.Errorf("acquire the lease on the replica for %s: %w", wait, err)
		} else if waited > wait {
			return fmt.Errorf("another container writes to this replica and did not end within %s; stop it, or give this one another path in LITESTREAM_REPLICA_URL", wait)
		}
		if err != nil {
			slog.Warn("entrypoint: the lease cannot be acquired; trying again", "cause", err)
		}
		sleep(ctx, l.duration/10)
	}
}

// verify returns an error if the storage ignores conditions of writes. Two containers could
// then hold the lease.
func (l *lease) verify(ctx context.Context) error {
	for condition, etag := range map[string]string{"If-None-Match": "", "If-Match": `"00000000000000000000000000000000"`} {
		switch _, err := l.put(ctx, l.record, etag); {
		case err == nil:
			return fmt.Errorf("the object storage ignores %s, so two containers could write to the replica; use a storage with conditional writes", condition)
		case !errors.Is(err, errConflict):
			return fmt.Errorf("verify that the object storage has conditional writes (%s): %w", condition, err)
		}
	}
	return nil
}

// hold renews the lease until ctx ends, and returns nil then. It returns an error as soon as
// another container may hold it.
func (l *lease) hold(ctx context.Context) error {
	limit := l.limit()
	for due := l.confirmed.Add(l.duration / renewals); ; sleep(ctx, checkInterval) {
		switch now := time.Now(); {
		case ctx.Err() != nil:
			return nil
		case now.Sub(l.confirmed) > limit, now.Round(0).Sub(l.confirmed.Round(0)) > limit: // Round: a clock that goes on while the machine is suspended
			return fmt.Errorf("the lease could not be renewed for %s", limit)
		case now.Before(due):
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, min(l.duration/renewals, time.Until(l.confirmed.Add(limit))))
		err := l.renew(attempt, l.record)
		cancel()
		switch {
		case err == nil:
			due = l.confirmed.Add(l.duration / renewals)
		case errors.Is(err, errConflict):
			return err
		case ctx.Err() == nil:
			slog.Warn("entrypoint: the lease cannot be renewed; trying again", "cause", err)
			due = time.Now().Add(l.duration / 30)
		}
	}
}

// holdWhile renews the lease while work, which does not use it, runs on another goroutine. It
// cancels held as soon as another container may hold the lease, or when ctx ends, and returns
// the errors of work and of the renewal.
func (l *lease) holdWhile(ctx context.Context, work func(held context.Context) error) error {
	held, end := context.WithCancel(ctx)
	defer end()
	worked := make(chan error, 1)
	go func() { // ends with work; waited for below
		defer end()
		worked <- work(held)
	}()
	err := l.hold(held)
	end()
	return errors.Join(err, <-worked)
}

// setDisk records that the disk of this container has the newest database.
func (l *lease) setDisk(ctx context.Context, id string) error {
	next := l.record
	next.Disk = id
	return l.renew(ctx, next)
}

// release lets another container acquire the lease at once.
func (l *lease) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.duration/renewals)
	defer cancel()
	next := l.record
	next.Released = true
	if err := l.renew(ctx, next); err != nil && !errors.Is(err, errConflict) {
		return fmt.Errorf("release the lease: %w", err)
	}
	return nil
}

// renew writes the next record. If an earlier reply was lost, the stored record may be ours
// under an ETag that is not known.
func (l *lease) renew(ctx context.Context, next record) error {
	next.Renewals++
	err := l.write(ctx, next, l.etag)
	if !errors.Is(err, errConflict) {
		return err
	}
	held, etag, readErr := l.read(ctx)
	if readErr != nil {
		return readErr
	}
	if held.Holder != l.holder {
		return err
	}
	return l.write(ctx, next, etag)
}

// write stores next if the stored record has the given ETag. An empty ETag means that there is
// no record.
func (l *lease) write(ctx context.Context, next record, etag string) error {
	began := time.Now()
	stored, err := l.put(ctx, next, etag)
	if err != nil {
		return err
	}
	l.record, l.etag, l.confirmed = next, stored, began
	file, err := os.OpenFile(l.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	until := began.Add(l.limit())
	return errors.Join(os.Chtimes(l.file, until, until), file.Close())
}

// limit is how long after the last successful write the holder may use the lease.
func (l *lease) limit() time.Duration { return l.duration * holdShare / holdShares }

func (l *lease) put(ctx context.Context, r record, etag string) (stored string, err error) {
	content, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	input := &s3.PutObjectInput{Bucket: &l.bucket, Key: &l.key, Body: bytes.NewReader(content), ContentType: aws.String("application/json")}
	if etag == "" {
		input.IfNoneMatch = aws.String("*")
	} else {
		input.IfMatch = &etag
	}
	out, err := l.client.PutObject(ctx, input)
	if code(err) == "PreconditionFailed" || code(err) == "ConditionalRequestConflict" {
		return "", errConflict
	}
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// read returns the stored record and its ETag; an empty ETag if there is none.
func (l *lease) read(ctx context.Context) (r record, etag string, err error) {
	out, err := l.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.bucket, Key: &l.key})
	if code(err) == "NoSuchKey" || code(err) == "NotFound" {
		return r, "", nil
	}
	if err != nil {
		return r, "", err
	}
	defer out.Body.Close()
	content, err := io.ReadAll(io.LimitReader(out.Body, maxRecord))
	if err != nil {
		return r, "", err
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, "", fmt.Errorf("%s is not a lease: %w", l.key, err)
	}
	return r, aws.ToString(out.ETag), nil
}

// code returns the error code of the storage; empty if it did not answer with one.
func code(err error) string {
	var answered smithy.APIError
	if errors.As(err, &answered) {
		return answered.ErrorCode()
	}
	return ""
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
