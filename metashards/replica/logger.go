package replica

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger hands Raft's log lines to slog. Raft's own information is debug here: there may be thousands of groups.
type raftLogger struct{ log *slog.Logger }

// raftPanic is what Raft says before it would end the process; the replica fails instead.
type raftPanic struct{ text string }

func (p *raftPanic) Error() string { return "raft: " + p.text }

func (l raftLogger) line(level slog.Level, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprint(v...))
	}
}

func (l raftLogger) linef(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, v...))
	}
}

func (l raftLogger) Debug(v ...any)                   { l.line(slog.LevelDebug, v) }
func (l raftLogger) Debugf(format string, v ...any)   { l.linef(slog.LevelDebug, format, v) }
func (l raftLogger) Info(v ...any)                    { l.line(slog.LevelDebug, v) }
func (l raftLogger) Infof(format string, v ...any)    { l.linef(slog.LevelDebug, format, v) }
func (l raftLogger) Warning(v ...any)                 { l.line(slog.LevelInfo, v) }
func (l raftLogger) Warningf(format string, v ...any) { l.linef(slog.LevelInfo, format, v) }
func (l raftLogger) Error(v ...any)                   { l.line(slog.LevelError, v) }
func (l raftLogger) Errorf(format string, v ...any)   { l.linef(slog.LevelError, format, v) }

func (l raftLogger) Fatal(v ...any)                 { l.Panic(v...) }
func (l raftLogger) Fatalf(format string, v ...any) { l.Panicf(format, v...) }
func (l raftLogger) Panic(v ...any)                 { panic(&raftPanic{fmt.Sprint(v...)}) }
func (l raftLogger) Panicf(format string, v ...any) { panic(&raftPanic{fmt.Sprintf(format, v...)}) }
