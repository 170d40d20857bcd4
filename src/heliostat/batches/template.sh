#!/bin/bash -l
{{header}}

{{enter}}
{{setup}}
{{run}}
