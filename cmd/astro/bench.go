package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"astro/benchmarks/step"
	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/spf13/cobra"
)

func newBenchCommand() *cobra.Command {
	bench := &cobra.Command{Use: "bench", Short: "Measure the engine, or any OpenAI server"}
	bench.AddCommand(newBenchStepCommand(), newBenchQualityCommand(), newBenchTrainCommand(), newBenchLoadCommand(), newBenchMathCommand(), newBenchCompareCommand())
	return bench
}

// benchFlags say what is timed in process, and what it is compared with.
type benchFlags struct {
	deviceFlags
	random                   string
	tensorParallel           int
	seed                     uint64
	memoryBytes              int64
	peakBandwidth, peakFLOPs float64 // GB/s and TFLOP/s
	asJSON                   bool
	models                   hubFlags
}

func (o *benchFlags) add(c *cobra.Command) {
	o.models.add(c)
	f := c.Flags()
	o.addDevice(c, "")
	f.StringVar(&o.random, "random-weights", "", "1b, 3b or 8b, or tiny: random weights of that Llama's shape, made on the device, in place of MODEL")
	f.Uint64Var(&o.seed, "seed", 1, "of random weights")
	f.Int64Var(&o.memoryBytes, "memory-bytes", 0, "memory that may be used on the device; 0 = what the machine has free")
	f.Float64Var(&o.peakBandwidth, "peak-bandwidth", 0, "GB/s of the device's memory by its data sheet; 0 = as published for an H100, an H200 or an A100, none else")
	f.Float64Var(&o.peakFLOPs, "peak-flops", 0, "TFLOP/s of the device by its data sheet; 0 = as published for those in dense bf16, none else")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object a line")
}

// subject is what is measured: a model that is not loaded yet, on a device.
type subject struct {
	device     *device.Device
	deviceName string
	model, dir string // its name; "" = random weights
	config     model.Config
	dtype      dtypes.DType
	int8       bool // weights are of 8 bits
	seed       uint64
	available  int64 // bytes of the device's memory
	devices    int   // of the backend that the model is spread over
	peaks      step.Peaks
}

// open finds the model, opens the device and measures what it can do.
func (o *benchFlags) open(c *cobra.Command, args []string, dtype dtypes.DType) (s subject, err error) {
	if (len(args) == 1) == (o.random != "") {
		return s, errors.New("want a MODEL or --random-weights, and not both")
	}
	if o.random != "" && o.tensorParallel > 1 {
		return s, errors.New("--random-weights are made on one device: give a MODEL with --tensor-parallel")
	}
	if o.peakBandwidth < 0 || o.peakFLOPs < 0 {
		return s, errors.New("--peak-bandwidth and --peak-flops must not be negative")
	}
	s.model, s.dtype, s.seed = o.random, dtype, o.seed
	if o.random == "" {
		found, err := o.models.modelDir(c.Context(), args[0], c.ErrOrStderr())
		if err != nil {
			return s, err
		}
		s.model, s.dir = args[0], found.dir
		s.config, err = model.LoadConfig(s.dir)
		if err != nil {
			return s, err
		}
	} else if s.config, err = model.Shape(o.random); err != nil {
		return s, fmt.Errorf("--random-weights: %w", err)
	}
	if s.device, err = o.openDevice(); err != nil {
		return s, err
	}
	if s.available = o.memoryBytes; s.available == 0 {
		if s.available, err = freeMemory(s.device, max(1, o.tensorParallel)); err != nil {
			return s, err
		}
	}
	s.deviceName, s.devices = deviceName(s.device), max(1, o.tensorParallel)
	return s, o.measure(&s, c.OutOrStdout())
}

// measure finds the device's rates and prints them.
func (o *benchFlags) measure(s *subject, w io.Writer) (err error) {
	if s.peaks, err = step.MeasurePeaks(s.device, s.dtype); err != nil {
		return err
	}
	s.peaks.Published = step.Published(s.deviceName)
	if o.peakBandwidth > 0 {
		s.peaks.Published.BytesPerSecond = o.peakBandwidth * 1e9
	}
	if o.peakFLOPs > 0 {
		s.peaks.Published.FLOPsPerSecond = o.peakFLOPs * 1e12
	}
	return printPeaks(w, *s, o.asJSON)
}

// weights loads or makes them; the caller owns them.
func (s *subject) weights() (*model.Weights, error) {
	need := s.config.WeightBytes(s.dtype) / int64(s.devices)
	if s.int8 {
		need = s.config.Int8Bytes(s.dtype)
	}
	if need > s.available {
		return nil, fmt.Errorf("the weights of %s in %s take %.1f MiB, of %.1f that may be used: a smaller model, a 16-bit dtype where there is the choice, or --memory-bytes",
			s.model, step.Name(s.dtype), float64(need)/(1<<20), float64(s.available)/(1<<20))
	}
	switch {
	case s.dir == "" && s.int8:
		return model.RandomInt8On(s.device, s.config, s.seed, s.dtype)
	case s.int8:
		return model.LoadInt8(s.dir, s.device, s.dtype, nil)
	case s.dir == "":
		return model.RandomOn(s.device, s.config, s.seed, s.dtype)
	case s.devices > 1:
		return model.Load(s.dir, nil, s.dtype, nil) // the host's memory, from where each device gets its part
	}
	return model.Load(s.dir, s.device.Backend(), s.dtype, nil)
}

// deviceName is what XLA calls the first GPU, or what the processor calls itself.
func deviceName(d *device.Device) string {
	if d.Kind() != device.XLACUDA {
		m := device.Describe()
		return fmt.Sprintf("%s, %d cores", m.Processor, m.Cores)
	}
	chips, err := d.Chips()
	if err != nil || len(chips) == 0 {
		return "a GPU without a name"
	}
	return chips[0].Model
}

func printPeaks(w io.Writer, s subject, asJSON bool) error {
	p := s.peaks
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Case    string `json:"case"`
			Backend string `json:"backend"`
			Device  string `json:"device"`
			step.Peaks
		}{"peaks", string(s.device.Kind()), s.deviceName, p})
	}
	_, err := fmt.Fprintf(w, "%s (%s) measured: a copy of %d MiB %.1f GB/s read and written, a product of %d x %d in %s %.3f TFLOP/s; published: %s, %s in dense bf16\n",
		s.device.Kind(), s.deviceName, p.CopyBytes>>20, p.Measured.BytesPerSecond/1e9, p.ProductSide, p.ProductSide, p.ProductOf, p.Measured.FLOPsPerSecond/1e12,
		rate(p.Published.BytesPerSecond/1e9, "GB/s"), rate(p.Published.FLOPsPerSecond/1e12, "TFLOP/s"))
	return err
}

func rate(x float64, unit string) string {
	if x == 0 {
		return "no " + unit + " known"
	}
	return fmt.Sprintf("%.0f %s", x, unit)
}

// shareText is a Share in words.
func shareText(s step.Share) string {
	text := fmt.Sprintf("%.1f %% of measured", 100*s.Measured)
	if s.Published > 0 {
		text += fmt.Sprintf(", %.1f %% of published", 100*s.Published)
	}
	return text
}
