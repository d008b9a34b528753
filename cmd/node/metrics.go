package node

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/gateway"
	"github.com/contender/contender/heal/audit"
	"github.com/contender/contender/heal/orphan"
	"github.com/contender/contender/metashards/store"
)

// metrics are what Prometheus reads of a node. Every name begins with contender_.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "contender_s3_requests_total", Help: "S3 requests by operation, status and error code."}, []string{"operation", "status", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "contender_s3_request_seconds", Help: "Time from the request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"operation"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "contender_s3_received_bytes_total", Help: "Bytes of bodies received."}, []string{"operation"}),
		sent:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "contender_s3_sent_bytes_total", Help: "Bytes of bodies sent."}, []string{"operation"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.received, m.sent,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe counts one finished request.
func (m *metrics) observe(o gateway.Observation) {
	op := string(o.Op)
	if op == "" {
		op = "none"
	}
	m.requests.WithLabelValues(op, strconv.Itoa(o.Status), o.Code).Inc()
	m.seconds.WithLabelValues(op).Observe(o.Duration.Seconds())
	m.received.WithLabelValues(op).Add(float64(o.Received))
	m.sent.WithLabelValues(op).Add(float64(o.Sent))
}

// addStore shows what the store of a disk has found about replicas and clocks.
func (m *metrics) addStore(s *store.Store) error {
	labels := prometheus.Labels{"disk": s.Disk().String()}
	for _, x := range []struct {
		name, help string
		counts     bool
		value      func(store.Status) float64
	}{
		{"contender_replicas_differing", "Ranges on the disk of which replicas are known to hold different rows.", false, func(s store.Status) float64 { return float64(s.Differing) }},
		{"contender_replicas_found_differing_total", "Comparisons by leaders on the disk that found replicas to differ.", true, func(s store.Status) float64 { return float64(s.Differed) }},
		{"contender_replicas_remade_total", "Replicas on the disk that were made anew because they differed.", true, func(s store.Status) float64 { return float64(s.Remade) }},
		{"contender_clock_off", "1 while the wall clock is so far off that the disk leads nothing.", false, func(s store.Status) float64 {
			if s.ClockOff {
				return 1
			}
			return 0
		}},
		{"contender_clock_ahead_seconds", "By how much the wall clock is ahead of the median while it is far off.", false, func(s store.Status) float64 { return s.ClockAhead.Seconds() }},
	} {
		value := func() float64 { return x.value(s.Status()) }
		var c prometheus.Collector = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: x.name, Help: x.help, ConstLabels: labels}, value)
		if x.counts {
			c = prometheus.NewCounterFunc(prometheus.CounterOpts{Name: x.name, Help: x.help, ConstLabels: labels}, value)
		}
		if err := m.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// addDisk shows a disk's room and whether it works.
func (m *metrics) addDisk(d disk.Disk, path string) error {
	labels := prometheus.Labels{"disk": d.ID().String(), "path": path}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	for _, c := range []prometheus.Collector{
		gauge("contender_disk_capacity_bytes", "What the disk may fill.", func() float64 { return float64(d.Usage().CapacityBytes) }),
		gauge("contender_disk_used_bytes", "What segments and state occupy.", func() float64 { return float64(d.Usage().UsedBytes) }),
		gauge("contender_disk_live_bytes", "What of the segments is still referenced.", func() float64 { return float64(d.Usage().LiveBytes) }),
		gauge("contender_disk_up", "1 while the disk works, 0 once it is fenced.", func() float64 {
			if d.Err() != nil {
				return 0
			}
			return 1
		}),
	} {
		if err := m.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// addOrphans shows what was deleted because no record named it.
func (m *metrics) addOrphans(c *orphan.Collector) error {
	shards := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "contender_orphan_shards_deleted_total", Help: "Shards on this node's disks that were deleted because no record named them.",
	}, func() float64 { n, _ := c.Deleted(); return float64(n) })
	size := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "contender_orphan_bytes_deleted_total", Help: "Bytes of data in those shards.",
	}, func() float64 { _, n := c.Deleted(); return float64(n) })
	return errors.Join(m.registry.Register(shards), m.registry.Register(size))
}

// addAudit shows what the last audit of the records that are led here has found.
func (m *metrics) addAudit(a *audit.Auditor) error {
	short := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "contender_audit_extents_short", Help: "Extents of which shards were missing at the last audit of the records that this node leads.",
	}, func() float64 { n, _, _ := a.Found(); return float64(n) })
	lost := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "contender_audit_extents_lost", Help: "Of them, those of which too few shards were left.",
	}, func() float64 { _, n, _ := a.Found(); return float64(n) })
	return errors.Join(m.registry.Register(short), m.registry.Register(lost))
}
