// Package clients runs the tools that people use, as they are, against a real server that is killed and restarted in
// between: aws-cli, rclone, restic, and the current Go SDK with its default trailing checksums.
package clients
