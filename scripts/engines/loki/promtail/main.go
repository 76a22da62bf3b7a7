// Command promtail is Promtail 3 as far as a log pipeline needs it. Loki's module still carries Promtail's packages
// (clients/pkg/promtail), but since its end of life no command that starts them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/grafana/dskit/flagext"
	"github.com/grafana/loki/v3/clients/pkg/logentry/stages"
	"github.com/grafana/loki/v3/clients/pkg/promtail"
	"github.com/grafana/loki/v3/clients/pkg/promtail/client"
	"github.com/grafana/loki/v3/clients/pkg/promtail/config"
	_ "github.com/grafana/loki/v3/pkg/util/build" // hands the version that the linker sets to prometheus/common
	"github.com/grafana/loki/v3/pkg/util/cfg"
	logging "github.com/grafana/loki/v3/pkg/util/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"
)

// settings is Promtail's configuration with the flags of the command itself.
type settings struct {
	config.Config `yaml:",inline"`

	file                                       string
	expand, version, checkSyntax, inspect, dry bool
}

// RegisterFlags adds the command's flags and those of every part of Promtail.
func (s *settings) RegisterFlags(flags *flag.FlagSet) {
	flags.StringVar(&s.file, "config.file", "", "the YAML file to read")
	flags.BoolVar(&s.expand, "config.expand-env", false, "expand ${VAR} in the file")
	flags.BoolVar(&s.version, "version", false, "print the version and leave")
	flags.BoolVar(&s.checkSyntax, "check-syntax", false, "read the file, build its pipelines and leave")
	flags.BoolVar(&s.inspect, "inspect", false, "print what each stage changes")
	flags.BoolVar(&s.dry, "dry-run", false, "print the lines instead of sending them, and leave the positions as they are")
	s.Config.RegisterFlags(flags)
}

// Clone returns a copy on which flags can be registered.
func (s *settings) Clone() flagext.Registerer {
	clone := *s
	return &clone
}

// load returns what the defaults, the file and the flags say, the later over the earlier.
func load() (*settings, error) {
	s := new(settings)
	return s, cfg.DefaultUnmarshal(s, os.Args[1:], flag.NewFlagSet("promtail", flag.ExitOnError))
}

// check builds every pipeline, which finds what reading the file alone does not: a wrong expression, selector or template.
func check(c *config.Config) error {
	found := []error{c.Validate()}
	for _, scrape := range c.ScrapeConfig {
		job := scrape.JobName
		if _, err := stages.NewPipeline(logging.Logger, scrape.PipelineStages, &job, prometheus.NewRegistry()); err != nil {
			found = append(found, fmt.Errorf("scrape config %q: %w", job, err))
		}
	}
	return errors.Join(found...)
}

// run reads lines until SIGTERM or SIGINT; SIGHUP, and a request to /reload where the file allows it, read the file anew.
func run(s *settings) error {
	logging.InitLogger(&s.ServerConfig.Config, prometheus.DefaultRegisterer, false)
	defer func() { _ = logging.Flush() }()
	stages.Inspect = s.inspect
	reread := func() (*config.Config, error) {
		again, err := load()
		return &again.Config, err
	}
	p, err := promtail.New(s.Config, reread, client.NewMetrics(prometheus.DefaultRegisterer), s.dry)
	if err != nil {
		return err
	}
	// What was read but not yet sent goes out, and the positions are written, before the program ends.
	defer p.Shutdown()
	return p.Run()
}

func main() {
	s, err := load()
	switch {
	case err != nil:
	case s.version:
		fmt.Println(version.Print("promtail"))
	case s.checkSyntax:
		err = check(&s.Config)
	default:
		err = run(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "promtail:", err)
		os.Exit(1)
	}
}
