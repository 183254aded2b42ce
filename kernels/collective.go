package kernels

import (
	"fmt"
	"strconv"
	"strings"

	"astro/internal/device"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
)

// Collective operations of programs across devices (device.CompileAcross). In a program of one device they are nothing.

func init() {
	for devices := 2; devices <= maxDevices; devices++ {
		device.Implement(gatherName(devices), device.Implementation{Body: func(_ device.Kind, f device.Signature) string { return gatherBody(devices, f) }})
	}
}

// maxDevices bounds the devices of one program: those of one machine.
const maxDevices = 16

// AllReduce is the sum of x over the program's devices, in x's dtype, the same on each.
func AllReduce(x *Node) *Node {
	if x.Graph().NumDevices() == 1 {
		return x
	}
	return x.Graph().Distributed().AllReduceOne(x, compute.ReduceOpSum)
}

// AllGather puts the devices' x [rows, columns] side by side: [rows, devices*columns], exact, the same on each.
func AllGather(x *Node) *Node {
	devices := x.Graph().NumDevices()
	if devices == 1 {
		return x
	}
	if devices > maxDevices {
		panic(fmt.Errorf("gather from %d devices; want at most %d", devices, maxDevices))
	}
	return device.Call(gatherName(devices), func(in []*Node) []*Node {
		same := make([]*Node, devices) // as if every device had the same: graph operations know of no other one
		for i := range same {
			same[i] = in[0]
		}
		return []*Node{Concatenate(same, 1)}
	}, x)[0]
}

func gatherName(devices int) string { return fmt.Sprintf("all_gather_%d", devices) }

// gatherBody is StableHLO's all_gather over all devices in one group.
func gatherBody(devices int, f device.Signature) string {
	group := make([]string, devices)
	for i := range group {
		group[i] = strconv.Itoa(i)
	}
	return fmt.Sprintf(`    %%all = "stablehlo.all_gather"(%%%s) {all_gather_dim = 1 : i64, replica_groups = dense<[[%s]]> : tensor<1x%dxi64>} : (%s) -> %s
    "stablehlo.return"(%%all) : (%[5]s) -> ()
`, f.Params[0].Name, strings.Join(group, ", "), devices, f.Params[0].Type, f.ResultTypes()[0])
}
